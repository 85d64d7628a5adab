#include "base/status.h"

const char *
bw_status_text(bw_status status)
{
    switch (status) {
    case BW_OK:
        return "success";
    case BW_FULL:
        return "no room";
    case BW_EMPTY:
        return "nothing there now";
    case BW_CLOSED:
        return "at its end";
    case BW_ENOMEM:
        return "out of memory";
    case BW_EIO:
        return "input or output failed";
    case BW_ECORRUPT:
        return "protocol violated";
    case BW_EHOST:
        return "user code failed";
    case BW_EINVAL:
        return "invalid argument";
    }
    return "unknown status";
}
