"""Programs that upstream runs in another way, mostly by a defect that we don't copy: what either does."""

from pathlib import Path

import pytest

DIFFERENCES = sorted((Path(__file__).parent / "differences").glob("*.py"))


@pytest.mark.parametrize("path", DIFFERENCES, ids=lambda path: path.stem)
@pytest.mark.parametrize("side_name", ["upstream", "ours"])
def test_program_does_what_it_says_of_either_side(path, side_name, load_program, request):
    program = load_program(path)
    side = request.getfixturevalue(side_name)
    for command, outcome in zip(program.commands, side.run(program), strict=True):
        shown = (command.words, outcome.stdout, outcome.stderr)
        assert outcome.exit_code == command.exit_on(side_name), shown
        if outcome.exit_code == "hangs":
            continue
        assert outcome.lines(any_order=command.any_order) == command.stdout.get(side_name, []), shown
        for phrase in command.stderr_phrases:
            assert phrase in outcome.stderr, shown


@pytest.mark.parametrize("path", DIFFERENCES, ids=lambda path: path.stem)
def test_difference_states_two_outcomes_that_differ(path, load_program):
    program = load_program(path)
    assert any(
        command.stdout.get("upstream") != command.stdout.get("ours")
        or command.exit_on("upstream") != command.exit_on("ours")
        for command in program.commands
    )
