"""The command line: one command group, one file a command or a family of them."""

from __future__ import annotations

import sys

import click

import easyremote
from easyremote.cli.bench import bench
from easyremote.cli.doctor import doctor
from easyremote.cli.gateway import gateway, up
from easyremote.cli.keys import key
from easyremote.cli.lending import drain, pause, resume, rules
from easyremote.cli.logs import logs
from easyremote.cli.look import call, functions, jobs, login, nodes, notify
from easyremote.cli.node import node
from easyremote.cli.notebook import demo, lab
from easyremote.cli.top import top
from easyremote.cli.usage import usage
from easyremote.errors import EasyRemoteError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(easyremote.__version__, prog_name="easyremote")
def cli() -> None:
    """Remote compute that feels local.

    \b
    A first try, on this machine alone:
      easyremote demo                      a notebook that computes on a node, start to end
      easyremote demo --team               five people, one machine, a fair queue
      easyremote up                        a gateway and a node, until Ctrl-C

    \b
    For real: on the VPS, on the machine that computes, and at home:
      easyremote gateway --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem --allow-host my-vps
      easyremote login https://my-vps:8080 && easyremote node --node-id gpu-node
      easyremote login https://my-vps:8080 && easyremote nodes

    \b
    Something doesn't work:
      easyremote doctor
    """


for command in (
    *(up, gateway, node, lab, demo, nodes, functions, jobs, call, key, login, doctor, bench),
    *(pause, drain, resume, rules, top, usage, logs, notify),
):
    cli.add_command(command)


def main() -> None:
    """Run the command line; our errors are one line, not a traceback."""
    try:
        cli(prog_name="easyremote", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except EasyRemoteError as error:
        click.secho(f"{type(error).__name__}: {error}", fg="red", err=True)
        sys.exit(1)
