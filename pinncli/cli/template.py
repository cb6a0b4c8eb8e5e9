"""The problem file that `pinncli new` writes: complete, commented, and solved in seconds as it stands."""

from __future__ import annotations

TEMPLATE = """\
# A problem for pinncli. It solves as it stands; change it piece by piece:
#     pinncli check {name}.toml     says what is wrong, with line and column
#     pinncli show {name}.toml      prints the equations as they were understood
#     pinncli solve {name}.toml     solves it

title = "{title}"
description = "A rod that cools: heat flows out through its two ends, which are kept at zero."
reference = ""                      # where the problem comes from: a book, a paper
tags = ["parabolic", "linear"]

# What is solved for. Other kinds of unknown:  [unknowns.h]  kind = "complex"
unknowns = ["u"]

# The box on which it is solved; `t` is time. With units:  x = {{ range = [0, 1], units = "m" }}
[coordinates]
x = [0, 1]
t = [0, 1]

# Numbers with names, to be used in any formula: 0.1, or text such as "0.01/pi".
[constants]
alpha = 0.1

# Numbers that are to be found from data, each with a first guess:
# [parameters.alpha]
# initial = 0.05
# bounds = [0, 1]

# Everything asked of the solution is an equation on a region.
#   derivatives   u_t, u_xx, d(u, x, x), lap(u), grad(u), div(...), dn(u) (outward, on a boundary)
#   regions       interior, boundary, x-, x+, t- (the start of time), and where = "x > 0.5" for a part
#   periodic      equation = "u(x=0) = u(x=1)", and the same for d(u, x)
#   data          data = "sensors.csv", equation = "u = u_measured" (columns x, t, u_measured)
[conditions]
equation = {{ on = "interior", equation = "u_t = alpha*u_xx" }}
initial  = {{ on = "t-",       equation = "u = sin(pi*x)" }}
ends     = {{ on = "x-, x+",   equation = "u = 0" }}

# The solution where it is known, to measure the error. Without it the residuals tell the quality.
[exact]
u = "exp(-alpha*pi^2*t)*sin(pi*x)"

# Network, points and optimiser are chosen from the problem; to choose yourself:
# [network]
# width = 30
# depth = 3
# [sampling]
# interior = 2000
# [[stages]]
# optimiser = {{ kind = "ssbroyden" }}
# steps = 1000
# [output]
# grid = {{ x = 201, t = 101 }}
"""


def problem_template(name: str) -> str:
    """The text of a new problem file called `name`."""
    return TEMPLATE.format(name=name, title=name.replace("_", " ").replace("-", " ").capitalize())
