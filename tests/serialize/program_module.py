"""A module of the user's own, beside the program: it isn't installed on the other side."""

import program_other

SCALE = 10
UNUSED = open(__file__)  # can't travel, and must not be asked to


class Shape:
    def __init__(self, side):
        self.side = side

    def area(self):
        return self.side**2 * SCALE


def scaled(number):
    return number * SCALE + program_other.OFFSET
