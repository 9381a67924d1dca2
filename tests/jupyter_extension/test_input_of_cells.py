"""``input`` and ``getpass`` of a cell on a node, asked in a real kernel and in a real terminal."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.jupyter_extension.conftest import LIMIT, Kernel, Shown
from tests.jupyter_extension.test_frontends import Terminal, terminal

__all__ = ["terminal"]  # a fixture


def ask(kernel: Kernel, code: str, answer: str = "Ada", line: str = "") -> Shown:
    """Run a cell in a front end that can ask, and answers so; its questions are in ``reply``."""
    shown, questions = Shown(), list[dict[str, Any]]()

    def reply_to(message: dict[str, Any]) -> None:
        questions.append(message["content"])
        if answer == "stop":
            kernel._manager.interrupt_kernel()
        else:
            kernel._client.input(answer)

    reply = kernel._client.execute_interactive(
        f"%%remote gpu-node {line}\n{code}",
        allow_stdin=True,
        stdin_hook=reply_to,
        output_hook=shown.messages.append,
        timeout=LIMIT,
    )
    shown.reply = reply["content"] | {"questions": questions}
    return shown


def test_a_question_is_asked_in_the_notebook_and_the_answer_goes_to_the_node(
    kernel: Kernel,
) -> None:
    shown = ask(kernel, "print('before')\nname = input('Your name? ')\nprint('Hello', name)")
    assert shown.text() == "before\nHello Ada\n", shown.story()
    assert shown.reply["questions"] == [{"prompt": "Your name? ", "password": False}]
    assert kernel.run("name").value == "'Ada'"


def test_a_password_is_asked_as_one(kernel: Kernel) -> None:
    shown = ask(kernel, "import getpass\nlen(getpass.getpass('Secret: '))")
    assert shown.reply["questions"] == [{"prompt": "Secret: ", "password": True}]
    assert shown.value == "3"


def test_many_questions_are_asked_in_order(kernel: Kernel) -> None:
    shown = ask(kernel, "[input(f'{n}? ') for n in range(5)]")
    assert [question["prompt"] for question in shown.reply["questions"]] == [
        f"{n}? " for n in range(5)
    ]
    assert shown.value == str(["Ada"] * 5)


def test_a_thread_of_the_cell_can_ask(kernel: Kernel) -> None:
    code = (
        "import concurrent.futures as f\n"
        "with f.ThreadPoolExecutor() as pool: said = pool.submit(input, 'Name? ').result()\nsaid"
    )
    assert ask(kernel, code).value == "'Ada'"


def test_the_stop_button_in_a_question_stops_the_cell(kernel: Kernel) -> None:
    shown = ask(kernel, "input('Name? ')\nprint('went on')", answer="stop")
    assert shown.reply["ename"] == "KeyboardInterrupt"
    assert shown.text() == ""
    assert kernel.run("%%remote gpu-node\n1 + 1").value == "2"


def test_with_no_stdin_it_fails_at_once(kernel: Kernel) -> None:
    shown = ask(kernel, "input('Name? ')", line="--no-stdin")
    assert shown.reply["questions"] == []
    assert shown.reply["ename"] == "EOFError"
    assert "--no-stdin" in shown.traceback


def test_where_the_front_end_can_not_ask_it_fails_at_once(kernel: Kernel) -> None:
    shown = kernel.run("%%remote gpu-node\ninput('Name? ')", fails=True)
    assert shown.reply["ename"] == "EOFError"
    assert "runs without a user" in shown.traceback
    assert "stdin.py" not in shown.traceback


def test_a_question_is_asked_in_a_terminal(terminal: Terminal) -> None:
    terminal.send("%%remote", "name = input('Your name? ')", "print('Hello', name)")
    terminal.child.expect_exact("Your name? ")
    terminal.child.sendline("Ada")
    assert re.search(r"Hello Ada\r?\n", terminal.until_prompt())


@pytest.mark.parametrize("code", ["breakpoint()", "import pdb; pdb.set_trace()"])
def test_a_debugger_asks_as_well(kernel: Kernel, code: str) -> None:
    shown = ask(kernel, f"x = 41\n{code}\nx + 1", answer="c")
    assert shown.value == "42", shown.story()
