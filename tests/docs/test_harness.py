"""What checks the pages can fail: a block or a command that is wrong is found out."""

from __future__ import annotations

import pytest

from tests.docs import commands
from tests.docs.blocks import ROOT, Block, blocks_of
from tests.docs.test_blocks import KINDS


@pytest.fixture
def page(tmp_path):
    """Write a page."""

    def write(text):
        path = tmp_path / "page.md"
        path.write_text(text)
        return path

    return write


def shell(line):
    return Block(ROOT / "README.md", 1, "sh", line)


@pytest.mark.parametrize(
    "block", ["```\nmake demo\n```", "```console\n$ ls\n```", "Text.\n\n    indented\n", "- x\n\n  ~~~js\n  1\n  ~~~"]
)
def test_a_block_of_another_kind_is_seen(page, block):
    (found,) = blocks_of(page(block))

    assert found.kind not in KINDS


def test_a_block_knows_its_line_and_the_file_that_it_stands_for(page):
    one, two = blocks_of(page("# Page\n\n```python\nx = 1\n```\n\n```python\n# flood/job_types.py\ny = 2\n```\n"))

    assert (one.line, one.file) == (4, None)
    assert (two.line, two.file) == (8, "flood/job_types.py")


def test_every_command_of_a_chain_is_found_and_comments_are_none():
    block = shell("A=1 make demo \\\n  ARGS=--once && pip install x  # words\n# more words\nexport B=2 | make test")

    found = [(command.environment, str(command)) for command in commands.commands_of(block)]

    assert found == [
        ((("A", "1"),), "make demo ARGS=--once"),
        ((), "pip install x"),
        ((), "export B=2"),
        ((), "make test"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "make no-such-target",
        "make",
        'pip install "jobsapi[nope]"',
        "pip install no-such-package",
        "pip install -c no-such-file.txt jobsapi",
        "frobnicate --all",
        "NO_SUCH_VARIABLE=1 make test",
        "export NO_SUCH_VARIABLE=1",
    ],
)
def test_a_wrong_command_is_refused(line):
    (command,) = commands.commands_of(shell(line))

    with pytest.raises(AssertionError):
        commands.check(command)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("```python\nx = 1\n```\n\nText.\n\n```python\nassert x == 2\n```\n", 'page.md", line 8'),
        ("```python\n# mysite/settings.py\nJOBSAPI = {'NO_SUCH_SETTING': 1}\n```\n", "jobsapi.E001"),
        ("```python\n# flood/broken.py\nimport no_such_module\n```\n", "No module named 'no_such_module'"),
    ],
    ids=["a block that fails", "a setting that does not exist", "a file that does not import"],
)
def test_a_page_that_does_not_do_what_it_says_fails_with_its_words(page, project_of, text, words):
    project = project_of(page(text))

    with pytest.raises(AssertionError) as failure:
        project.run_python()

    assert words in str(failure.value)
