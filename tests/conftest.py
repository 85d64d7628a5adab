import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import results  # noqa: E402

# A shell starts what runs in its background with SIGINT ignored, and what that starts inherits it: tests of
# interrupts must not depend on who runs them.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter):
    def count(*kinds):
        return sum(len(terminalreporter.stats.get(kind, ())) for kind in kinds)

    results.write(
        results.Results(passed=count("passed", "xfailed"), failed=count("failed", "error"), skipped=count("skipped"))
    )
