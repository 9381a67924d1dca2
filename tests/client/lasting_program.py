"""Generators and functions that say how they ended."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from easyremote.node import node


@node.register
def endless(folder):
    try:
        number = 0
        while True:
            yield number
            number += 1
            time.sleep(0.001)
    finally:
        Path(folder, "ended").touch()


@node.register
async def endless_async(folder):
    try:
        number = 0
        while True:
            yield number
            number += 1
            await asyncio.sleep(0.001)
    finally:
        Path(folder, "ended").touch()


@node.register
async def forever_async(folder):
    Path(folder, "started").touch()
    try:
        await asyncio.sleep(3600)
    finally:
        Path(folder, "ended").touch()


@node.register
def forever(folder):
    Path(folder, "started").touch()
    try:
        while True:
            time.sleep(0.01)
    finally:
        Path(folder, "ended").touch()
