"""``easyremote lab`` and ``easyremote demo``."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import click


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lab(arguments: tuple[str, ...]) -> None:
    """Start JupyterLab with the node browser.

    \b
    ARGUMENTS are JupyterLab's own:
      easyremote lab
      easyremote lab --port 8899 --no-browser my-notebook.ipynb
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise click.ClickException(
            "JupyterLab is not installed. Install it: pip install 'easyremote[lab]'"
        )
    sys.exit(subprocess.call([sys.executable, "-m", "jupyterlab", *arguments]))


@click.command()
@click.option("--output", default="easyremote-demo", show_default=True, help="Folder for results.")
@click.option("--team", is_flag=True, help="Five people and one machine: the fair queue, seen.")
def demo(output: str, team: bool) -> None:
    """Run the first notebook on a node, start to end.

    It starts a gateway and two nodes on this machine, shows what the notebook does, keeps the
    executed notebook and its figure, and leaves nothing running.

    \b
      easyremote demo
      easyremote demo --output results
      easyremote demo --team               half a minute, no notebook
    """
    if team:
        from easyremote.cli.team import run as run_team

        run_team()
        return
    try:
        from easyremote.cli.demo import run
    except ImportError as error:
        raise click.ClickException(
            f"The demo needs {error.name}. Install it: pip install 'easyremote[demo]'"
        ) from None
    run(output)
