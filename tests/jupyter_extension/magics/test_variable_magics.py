"""Variables of a cell, in a real kernel with a real node: what stays there, who owns a name."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.jupyter_extension.conftest import Kernel
from tests.processes import Gateway, end_node, wait_until

# -- what stays there


def test_a_large_value_stays_there_as_a_remote_ref(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node\nimport numpy as np\nlarge = np.ones(3_000_000)")
    assert kernel.run("get_ipython().user_ns['large']").value == (
        "<RemoteRef large: ndarray, 24.0 MB, on gpu-node>\n"
        "array([1., 1., 1., ..., 1., 1., 1.], shape=(3000000,))"
    )
    assert kernel.run("large.call('sum'), large.call(len), large.eval('_[:3].tolist()')").value == (
        "(np.float64(3000000.0), 3000000, [1.0, 1.0, 1.0])"
    )
    assert kernel.run("large.eval('_ + 1')").value.startswith("<RemoteRef: ndarray, 24.0 MB")
    assert kernel.run("large.get().shape").value == "(3000000,)"


def test_what_can_not_travel_can_be_used_where_it_is(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node\nfile = open('/proc/version')\nitems = (i for i in [5])")
    assert kernel.run("file.call('read', 5)").value == "'Linux'"
    assert kernel.run("items.call(next)").value == "5"
    shown = kernel.run("file.get()", fails=True)
    assert shown.reply["ename"] == "CannotReturn"


def test_a_method_that_raises_there_raises_here(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node\nlarge = bytes(20_000_000)")
    shown = kernel.run("large.call('index', b'x')", fails=True)
    assert shown.reply["ename"] == "ValueError"


def test_a_ref_costs_no_transfer_in_another_cell_of_its_session(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node\nlarge = bytes(20_000_000)")
    shown = kernel.run("%%remote gpu-node\nlen(large)")
    assert (shown.value, shown.text("stderr")) == ("20000000", "")
    kernel.run("other = get_ipython().user_ns['large']\nboxed = {'l': [other]}")
    assert kernel.run("%%remote gpu-node\nother is large, boxed['l'][0] is large").value == (
        "(True, True)"
    )


def test_a_ref_means_the_value_that_it_was_made_for(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node\nlarge = bytes(20_000_000)")
    kernel.run("first = get_ipython().user_ns['large']")
    kernel.run("%%remote gpu-node\nlarge = bytes(21_000_000)")
    assert kernel.run("first.call(len), large.call(len)").value == "(20000000, 21000000)"


def test_the_value_of_a_cell_is_a_ref_above_the_limit(kernel: Kernel) -> None:
    shown = kernel.run("%%remote gpu-node\nimport numpy as np\nnp.zeros(3_000_000)")
    assert shown.value.startswith("array([0., 0.")  # as the node shows it
    count = shown.of("execute_result")[0]["execution_count"]
    shown = kernel.run("get_ipython().user_ns['_']")
    assert shown.value.startswith("<RemoteRef: ndarray, 24.0 MB, on gpu-node>")
    assert kernel.run(f"Out[{count}].call('sum')").value == "np.float64(0.0)"


def test_a_line_gives_a_ref_above_the_limit(kernel: Kernel) -> None:
    kernel.run("y = %remote gpu-node bytes(20_000_000)")
    assert kernel.run("y.type_name, y.call(len)").value == "('bytes', 20000000)"


def test_a_long_text_is_cut_and_says_so(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node --pull 1k\ntext = 'x' * 2000")
    assert kernel.run("get_ipython().user_ns['text']").value.endswith("x' ... 1,500 more")


def test_a_ref_of_no_further_use_is_let_go(kernel: Kernel) -> None:
    held = "len(__import__('easyremote.serialize.refs', fromlist='x').HELD)"
    count = f"%%remote gpu-node -s short -o nothing_else\nnothing_else = {held}\nnothing_else"
    kernel.run("%%remote gpu-node -s short\nlarge = bytes(20_000_001)")
    assert kernel.run(count).value == "1"
    kernel.run("del large")
    assert kernel.run(count).value == "0"


def test_a_ref_whose_session_has_ended_says_so(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node -s short\nlarge = bytes(20_000_000)")
    kernel.run("lost = get_ipython().user_ns['large']")
    process = int(kernel.run("%%remote gpu-node -s short\nimport os\nos.getpid()").value)
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{process}"))
    shown = kernel.run("lost.get()", fails=True)
    assert shown.reply["ename"] == "NotFound"
    assert "The session on gpu-node has ended, and the value with it." in shown.traceback
    shown = kernel.run("%%remote gpu-node -s short\n1")
    shown = kernel.run("%%remote gpu-node -s short\nlen(lost)", fails=True)
    assert "'lost' (RemoteRef): its session on gpu-node has ended" in shown.text("stderr")


@pytest.fixture
def other_node(gateway: Gateway) -> Iterator[subprocess.Popen[str]]:
    process = gateway.start_node("other-node")
    yield process
    end_node(process)


def test_a_ref_of_another_node_has_to_be_brought_here_first(
    kernel: Kernel, other_node: subprocess.Popen[str]
) -> None:
    kernel.run("%%remote gpu-node\nlarge = bytes(20_000_000)")
    shown = kernel.run("%%remote other-node\nlen(large)", fails=True)
    assert shown.text("stderr") == (
        "UsageError: CannotShip: 'large' (RemoteRef): it is on gpu-node, of no use here or "
        "elsewhere: large.get() brings it here\n"
    )
    kernel.run("large = large.get()")
    assert kernel.run("%%remote other-node\nlen(large)").value == "20000000"


# -- what comes back


@pytest.mark.parametrize(
    ("pull", "expected"),
    [
        ("auto", "('bytes', 'RemoteRef')"),
        ("always", "('bytes', 'bytes')"),
        ("never", "('RemoteRef', 'RemoteRef')"),
        ("1M", "('RemoteRef', 'RemoteRef')"),
        ("50MB", "('bytes', 'bytes')"),
    ],
)
def test_pull_says_how_large_a_value_may_come_back(
    kernel: Kernel, pull: str, expected: str
) -> None:
    kernel.run(
        f"%%remote gpu-node --pull {pull}\nmiddle = bytes(2_000_000)\nlarge = bytes(17_000_000)"
    )
    shown = kernel.run(
        "space = get_ipython().user_ns\n"
        "type(space['middle']).__name__, type(space['large']).__name__"
    )
    assert shown.value == expected


def test_pull_refuses_what_is_no_size(kernel: Kernel) -> None:
    shown = kernel.run("%%remote gpu-node --pull much\n1", fails=True)
    assert "'much' is not auto, always, never or a size as 100M" in shown.text("stderr")


def test_of_one_cell_64_mb_come_back(kernel: Kernel) -> None:
    code = "\n".join(f"part{i} = bytes(15_000_000)" for i in range(5))
    shown = kernel.run(f"%%remote gpu-node\n{code}")
    assert kernel.run(
        "[type(get_ipython().user_ns[f'part{i}']).__name__ for i in (0, 3, 4)]"
    ).value == ("['bytes', 'bytes', 'RemoteRef']")
    assert "Stays on gpu-node: part4 (bytes, 15.0 MB)" in shown.text("stderr")


def test_names_assigned_before_an_error_come_back(kernel: Kernel) -> None:
    kernel.run("later = 'mine'")
    shown = kernel.run(
        "%%remote gpu-node\nearly = [1, 2]\nbig = bytes(20_000_000)\n1 / 0\nlater = 3", fails=True
    )
    assert shown.reply["ename"] == "ZeroDivisionError"
    shown = kernel.run("early, type(get_ipython().user_ns['big']).__name__, later")
    assert shown.value == "([1, 2], 'RemoteRef', 'mine')"
    assert kernel.run("%%remote gpu-node\nlater").value == "'mine'"


def test_names_assigned_before_an_error_come_back_as_they_were_asked_for(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node -o mine=theirs,never\ntheirs = 5\n1 / 0", fails=True)
    assert kernel.run("mine, 'never' in globals()").value == "(5, False)"
    kernel.run("%%remote gpu-node -o '*'\nstar = 6\n1 / 0", fails=True)
    assert kernel.run("star").value == "6"


def test_names_assigned_before_an_interrupt_or_a_timeout_come_back(kernel: Kernel) -> None:
    code = "import time\nepoch = {}\nprint('go', flush=True)\ntime.sleep(60)"
    kernel.run(f"%%remote gpu-node\n{code.format(1)}", interrupt_at="go")
    assert kernel.run("epoch").value == "1"
    shown = kernel.run(f"%%remote gpu-node -t 1\n{code.format(2)}", fails=True)
    assert shown.reply["ename"] == "CallTimeout"
    assert kernel.run("epoch").value == "2"


def test_what_can_be_rebuilt_there_only_stays_there(kernel: Kernel) -> None:
    shown = kernel.run(
        "%%remote gpu-node\nimport os\n_node = os.getpid()\ndef _only_there(pid):\n"
        "    import os\n    if os.getpid() != pid:\n        raise RuntimeError('only there')\n"
        "    return Odd()\nclass Odd:\n    def __reduce__(self):\n"
        "        return _only_there, (_node,)\nodd = Odd()\nplain = [7]"
    )
    assert "odd stays on gpu-node" in shown.text("stderr")
    assert "only there" in shown.text("stderr")
    assert kernel.run("plain, type(odd).__name__").value == "([7], 'RemoteRef')"
    assert kernel.run("odd.eval('type(_).__name__')").value == "'Odd'"


# -- who owns a name


def test_the_nodes_value_stands_where_this_one_is_unchanged(kernel: Kernel) -> None:
    kernel.run("log = []")
    kernel.run("%%remote gpu-node\nlog.append(1)")
    shown = kernel.run("%%remote gpu-node\nlog.append(2)\nlog")
    assert (shown.value, shown.text("stderr")) == ("[1, 2]", "")


def test_what_a_cell_changes_is_changed_here(kernel: Kernel) -> None:
    kernel.run("log = []\nalias = log")
    kernel.run("%%remote gpu-node\nlog.append(1)")
    kernel.run("alias.append('here')")
    shown = kernel.run("%%remote gpu-node\nlog")
    assert (shown.value, shown.text("stderr")) == ("[1, 'here']", "")


def test_changed_on_both_sides_the_value_from_here_wins_with_a_line(kernel: Kernel) -> None:
    kernel.run("log = [0]")
    kernel.run("%%remote gpu-node -o other\nlog.append(1)\nother = 1")  # it does not come back
    kernel.run("log.append('here')")
    shown = kernel.run("%%remote gpu-node\nlog")
    assert shown.value == "[0, 'here']"
    assert shown.text("stderr") == (
        "log has changed here and on gpu-node: the value from here was sent\n"
    )


def test_a_value_that_was_not_brought_back_and_is_replaced_is_told(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node -o other\nother = chosen = 1")
    kernel.run("chosen = 2")
    shown = kernel.run("%%remote gpu-node\nchosen")
    assert (shown.value, "chosen has changed here and on" in shown.text("stderr")) == ("2", True)


def test_a_ref_that_is_replaced_here_is_no_conflict(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node\nswapped = bytes(20_000_000)")
    kernel.run("swapped = 5")
    shown = kernel.run("%%remote gpu-node\nswapped")
    assert (shown.value, shown.text("stderr")) == ("5", "")


def test_a_function_and_what_it_counts_are_no_conflict(kernel: Kernel) -> None:
    kernel.run("calls = 0\ndef count():\n    global calls\n    calls += 1\n    return calls")
    for expected in ("1", "2", "3"):
        shown = kernel.run("%%remote gpu-node\ncount()")
        assert (shown.value, shown.text("stderr")) == (expected, "")


def test_a_large_array_is_sent_once_and_again_when_it_changed_in_place(kernel: Kernel) -> None:
    kernel.run("import numpy as np\narray = np.ones(5_000_000)")
    assert "Sending to gpu-node: array (ndarray, 40.0 MB)" in kernel.run(
        "%%remote gpu-node\narray.sum()"
    ).text("stderr")
    assert kernel.run("%%remote gpu-node\narray.sum()").text("stderr") == ""
    kernel.run("array[4_999_999] = 2")
    shown = kernel.run("%%remote gpu-node\narray.sum()")
    assert shown.value == "np.float64(5000001.0)"
    assert "Sending to gpu-node: array (ndarray, 40.0 MB)" in shown.text("stderr")


def test_what_is_there_under_another_name_or_in_another_session_is_not_sent_again(
    kernel: Kernel,
) -> None:
    kernel.run("import numpy as np\nonce = np.random.default_rng(3).random(1_000_000)")
    assert "Sending" in kernel.run("%%remote gpu-node\nonce.sum()").text("stderr")
    kernel.run("again = once.copy()")
    shown = kernel.run("%%remote gpu-node\nagain[0] = 0\n(once != again).sum()")
    assert (shown.value, shown.text("stderr")) == ("np.int64(1)", "")
    shown = kernel.run("%%remote gpu-node -s elsewhere\nonce.sum()")
    assert shown.text("stderr") == ""


def test_a_blob_that_the_node_has_lost_is_sent_after_all(kernel: Kernel, gateway: Gateway) -> None:
    kernel.run("import numpy as np\nshared = np.random.default_rng(4).random(1_000_000)")
    kernel.run("%%remote gpu-node\nshared[0]")
    kernel.run("copied = shared.copy()")
    kernel.run(
        "from easyremote.client.session import Session\nreal = Session.known_blobs\n"
        "Session.known_blobs = lambda self, hashes: set(hashes)"
    )
    kernel.run(
        "%%remote gpu-node\nimport glob, os\n"
        "for f in glob.glob('/dev/shm/easyremote-blobs-*/*/*'): os.unlink(f)"
    )
    assert kernel.run("%%remote gpu-node\nbool(copied[0] > 0)").value == "True"
    kernel.run("Session.known_blobs = real")


def test_what_was_sent_with_a_cell_that_never_ran_is_sent_again(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node --bg busy\nimport time\ntime.sleep(600)")
    kernel.run("newcomer = 5")
    shown = kernel.run("%%remote gpu-node --queue-timeout 0.5\nnewcomer", fails=True)
    assert shown.reply["ename"] == "CallTimeout"
    kernel.run("busy.cancel()")
    assert kernel.run("%%remote gpu-node\nnewcomer").value == "5"


def test_deleting_an_array_here_frees_it(kernel: Kernel) -> None:
    kernel.run("import numpy as np, weakref, gc\narray = np.ones(3_000_000)")
    kernel.run("%%remote gpu-node -o none_of_it\nnone_of_it = array.size")
    kernel.run("alive = weakref.ref(array)\ndel array; gc.collect()")
    assert kernel.run("alive() is None").value == "True"


# -- what is announced, and what is refused


def test_very_much_has_to_be_wanted(kernel: Kernel) -> None:
    lower = (
        "import easyremote_jupyter.places.shipping as s\nlimit, s.FORCED_MIN = s.FORCED_MIN, 1e8"
    )
    kernel.run(f"{lower}\nimport numpy as np\nhuge = np.zeros(13_000_000)\nsmall = 1")
    shown = kernel.run("%%remote gpu-node -s huge\nprint(small, huge.size)", fails=True)
    assert shown.text() == ""
    assert shown.text("stderr") == (
        "UsageError: That is much to send to gpu-node: huge (ndarray, 104.0 MB). Nothing was sent. "
        "Make it there, or add --force-push.\n"
    )
    shown = kernel.run("%%remote gpu-node -s huge --force-push\nprint(small, huge.size)")
    assert shown.text() == "1 13000000\n", shown.story()
    shown = kernel.run("%%remote gpu-node -s huge\nhuge.size")
    assert (shown.value, shown.text("stderr")) == ("13000000", "")
    assert kernel.run("del huge\ns.FORCED_MIN = limit\nlimit").value == "1000000000"
    kernel.run("%%remote gpu-node -s huge\ndel huge")


@pytest.mark.parametrize(
    ("setup", "expected"),
    [
        ("v = open('/dev/null')", "'v' (TextIOWrapper): Open the file on the node"),
        ("import socket; v = socket.socket()", "'v' (socket): Open the connection on the node"),
        ("import threading; v = threading.Lock()", "'v' (lock): Make the lock on the node"),
        ("v = (i for i in [1])", "'v' (generator): Pass list(...) of it"),
        ("v = {'log': open('/dev/null')}", "'v' (v['log'] is TextIOWrapper): Open the file"),
        (
            "class FakeTensor:\n    is_cuda, __module__ = True, 'torch'\nv = FakeTensor()",
            "'v' (FakeTensor): it is in this machine's GPU; send v.cpu()",
        ),
    ],
)
def test_what_can_not_travel_is_named_before_anything_is_sent(
    kernel: Kernel, setup: str, expected: str
) -> None:
    kernel.run(setup)
    shown = kernel.run("%%remote gpu-node\nprint('ran')\nv", fails=True)
    assert f"CannotShip: {expected}" in shown.text("stderr")
    assert shown.text("stderr").count("\n") == 1
    assert shown.text() == ""


def test_modules_go_as_imports(kernel: Kernel) -> None:
    kernel.run("import os.path as p, math")
    assert kernel.run("%%remote gpu-node\np.join('a', 'b'), math.pi > 3").value == "('a/b', True)"


# -- bad input


@pytest.mark.parametrize("how", ["del mine", "globals().pop('mi' + 'ne')"])
def test_a_cell_that_deletes_a_variable_deletes_it_here(kernel: Kernel, how: str) -> None:
    kernel.run("mine, other = [1], 2")
    kernel.run(f"%%remote gpu-node\nmine.append(other)\n{how}")
    assert kernel.run("'mine' in globals(), other").value == "(False, 2)"
    kernel.run("mine = [3]")
    assert kernel.run("%%remote gpu-node\nmine").value == "[3]"


def test_a_name_that_was_deleted_out_of_our_sight_is_sent_again(kernel: Kernel) -> None:
    kernel.run("mine = [1]")
    kernel.run("%%remote gpu-node\nmine")
    kernel.run(
        "import easyremote\nfrom easyremote.client.session import Session\n"
        "Session(easyremote.connect(), 'gpu-node').ask('delete', ['mine'])"
    )
    kernel.run("%%remote gpu-node\nmine", fails=True)  # as by another notebook in this session
    assert kernel.run("%%remote gpu-node\nmine").value == "[1]"


def test_a_shadowed_builtin_goes_along(kernel: Kernel) -> None:
    kernel.run("len = lambda x: 'mine'")
    assert kernel.run("%%remote gpu-node\nlen([1])").value == "'mine'"
    kernel.run("del len")
    kernel.run("%%remote gpu-node\ndel len\nlist = 5")
    assert kernel.run("list").value == "5"
    kernel.run("del list")
    kernel.run("%%remote gpu-node\ndel list")


def test_ten_thousand_names_come_back(kernel: Kernel) -> None:
    code = "\n".join(f"n{i} = {i}" for i in range(10_000))
    kernel.run(f"%%remote gpu-node -s many\n{code}")
    assert kernel.run("n0, n9999").value == "(0, 9999)"
    kernel.run("%%remote gpu-node -s many -o '*'\nfor i in range(10_000): globals()[f'g{i}'] = i")
    assert kernel.run("g9999").value == "9999"
    kernel.run("for i in range(10_000): del globals()[f'n{i}'], globals()[f'g{i}']")


def test_a_value_that_holds_itself_travels(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node\nloop = []\nloop.append(loop)")
    assert kernel.run("loop[0] is loop").value == "True"
    assert kernel.run("%%remote gpu-node\nloop[0] is loop").value == "True"


def test_a_value_whose_repr_raises_is_no_trouble(kernel: Kernel) -> None:
    kernel.run(
        "%%remote gpu-node --pull never\nclass Bad:\n    def __repr__(self): raise ValueError\n"
        "bad = Bad()"
    )
    assert "(its repr raised ValueError)" in kernel.run("get_ipython().user_ns['bad']").value
    kernel.run("%%remote gpu-node -o bad\nbad")
    assert kernel.run("type(bad).__name__").value == "'Bad'"


def test_the_history_of_each_shell_is_its_own(kernel: Kernel) -> None:
    shown = kernel.run("%%remote gpu-node -s history\n41")
    count = shown.of("execute_result")[0]["execution_count"]
    assert kernel.run(f"%%remote gpu-node -s history\n_ + 1, Out[{count}], In[-2]").value == (
        "(42, 41, '# %%remote gpu-node -s history\\n41')"
    )


def test_shell_things_work_in_a_cell(kernel: Kernel) -> None:
    kernel.run("word, n = 'hi', 3")
    shown = kernel.run(
        "%%remote gpu-node\nassert get_ipython() is not None\n%timeit -n1 -r1 n + 1\n!echo {word}"
    )
    assert "loop" in shown.text()
    assert "hi" in shown.text()
    shown = kernel.run("%%remote gpu-node\n!true &", fails=True)
    assert "OSError: Background processes not supported." in shown.traceback  # IPython's own
    assert "SystemExit" in kernel.run("%%remote gpu-node\nkept = n; exit()", fails=True).traceback
    assert kernel.run("%%remote gpu-node\nkept").value == "3"  # the session goes on


def test_two_hundred_variables_go_along_and_stay(kernel: Kernel) -> None:
    kernel.run("for i in range(200): globals()[f'v{i}'] = [i]")
    names = ", ".join(f"v{i}" for i in range(200))
    for _ in range(2):
        assert kernel.run(f"%%remote gpu-node\nsum(v[0] for v in ({names}))").value == "19900"


# -- the magics


def test_variables_of_a_session_are_listed_got_put_and_removed(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node -s vars -o nothing_here=a\na = [1]\nb = 'text'")
    shown = kernel.run("%remote_vars gpu-node/vars")
    assert [line.split()[:2] for line in shown.value.splitlines()[1:]] == [
        ["a", "list"],
        ["b", "str"],
    ]
    assert "<table" in shown.of("execute_result")[0]["data"]["text/html"]
    kernel.run("%remote_get gpu-node/vars a b")
    assert kernel.run("a, b").value == "([1], 'text')"
    kernel.run("c = {'k': 2}")
    kernel.run("%remote_put gpu-node/vars c")
    assert kernel.run("%%remote gpu-node -s vars --no-auto-in\nc").value == "{'k': 2}"
    kernel.run("%remote_rm gpu-node/vars a c")
    assert "'c'" not in kernel.run("%remote_vars gpu-node/vars").value
    shown = kernel.run("%remote_get gpu-node/vars a", fails=True)
    assert "The session has no variable 'a'." in shown.traceback
    assert kernel.run("%%remote gpu-node -s vars\nc").value == "{'k': 2}"  # sent again


@pytest.mark.parametrize("magic", ["remote_get", "remote_put", "remote_rm"])
def test_a_magic_without_names_says_how_it_is_used(kernel: Kernel, magic: str) -> None:
    shown = kernel.run(f"%{magic} gpu-node", fails=True)
    assert f"UsageError: %{magic} [TARGET] NAME" in shown.text("stderr")


def test_a_name_that_is_not_here_can_not_be_put(kernel: Kernel) -> None:
    shown = kernel.run("%remote_put gpu-node absent", fails=True)
    assert "absent: there is no variable of that name here" in shown.text("stderr")
