"""Programs that must do the same under upstream and here."""

from pathlib import Path

import pytest

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.py"))
OPERATORS = (
    ".input(",
    ".output(",
    ".map(",
    ".flat_map(",
    ".filter(",
    ".filter_map(",
    ".inspect(",
    ".inspect_epoch(",
    ".reduce(",
    ".stateful_map(",
)
CONNECTORS = ("StdOutput(", "FileInput(", "DirInput(", "CSVInput(", "FileOutput(", "DirOutput(")
BASES = ("(PartitionedInput)", "(DynamicInput)", "(PartitionedOutput)", "(DynamicOutput)")
TESTING = ("TestingInput(", "TestingOutput(", "poll_next(")
ENTRY_POINTS = ("run_main(", "cluster_main(", "python -m bytewax.run", " -w ")


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_program_does_the_same_upstream_and_here(path, load_program, upstream, ours):
    program = load_program(path)
    outcomes = zip(program.commands, upstream.run(program), ours.run(program), strict=True)
    for command, theirs, mine in outcomes:
        for side, outcome in (("upstream", theirs), ("ours", mine)):
            assert outcome.exit_code == command.exit_on(side), (
                side,
                command.words,
                outcome.stdout,
                outcome.stderr,
            )
            for phrase in command.stderr_phrases:
                assert phrase in outcome.stderr, (side, command.words)
        assert mine.lines(any_order=command.any_order) == theirs.lines(any_order=command.any_order), command.words


@pytest.mark.parametrize("name", [*OPERATORS, *CONNECTORS, *BASES, *TESTING, *ENTRY_POINTS])
def test_name_is_used_by_a_program(name):
    assert any(name in path.read_text(encoding="utf-8") for path in PROGRAMS)
