#!/usr/bin/env python3
"""Draws how steps a second change with size, from documents of `agentctl bench KIND --json`.

    docs/plots/scale.py FILE... > docs/plots/scale.svg

One line for each file: its steps (or items) a second, as a ratio to the best of its own run, over
nodes, finished executions or items."""
import html
import json
import math
import sys

SIZES = {"dag": ("nodes", "nodes of one workflow"),
         "store": ("finished_executions", "finished executions in the store"),
         "map": ("items", "items of one map, all at once")}
RATES = ("steps_per_s", "items_per_s")
COLORS = ("#2f6fde", "#c2571a", "#2c8a57")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 330, 52, 48, 24, 84
MOST = 6  # 10^6


def x_of(size):
    return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(max(size, 1)) / MOST)


def y_of(ratio):
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - ratio / 1.1)


def series_of(path):
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    key, name = SIZES[document["bench"]]
    points = [(result[key], next(result[rate] for rate in RATES if rate in result))
              for result in document["results"] if result.get("at_once", "all") == "all"]
    best = max(rate for _, rate in points)
    return name, best, [(size, rate / best) for size, rate in points]


def text(x, y, words, anchor="middle"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(words)}</text>'


def main(paths):
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
           'aria-label="Rates over size, as ratios to the best of each run">',
           "<style>text{font:12px sans-serif;fill:#6b7280}line,polyline{fill:none}"
           ".grid{stroke:#9ca3af;stroke-opacity:.35}</style>"]
    for tenth in (0, 20, 40, 60, 80, 100):
        y = y_of(tenth / 100)
        out.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        out.append(text(LEFT - 8, y + 4, f"{tenth / 100:.1f}", "end"))
    for power in range(MOST + 1):
        out.append(text(x_of(10 ** power), HEIGHT - BOTTOM + 18, f"{10 ** power:,}"))
    for number, path in enumerate(paths):
        name, best, points = series_of(path)
        color = COLORS[number % len(COLORS)]
        places = " ".join(f"{x_of(size):.1f},{y_of(ratio):.1f}" for size, ratio in points)
        out.append(f'<polyline points="{places}" stroke="{color}" stroke-width="2"/>')
        for size, ratio in points:
            out.append(f'<circle cx="{x_of(size):.1f}" cy="{y_of(ratio):.1f}" r="3.5" fill="{color}">'
                       f"<title>{size:,}: {ratio * best:,.0f} a second</title></circle>")
        y = HEIGHT - BOTTOM + 38 + 16 * number
        out.append(f'<line x1="{LEFT}" x2="{LEFT + 22}" y1="{y - 4}" y2="{y - 4}" stroke="{color}" '
                   'stroke-width="3"/>')
        out.append(text(LEFT + 30, y, f"{name}: 1.0 is {best:,.0f} a second", "start"))
    out.append("</svg>")
    print("\n".join(out))


main(sys.argv[1:])
