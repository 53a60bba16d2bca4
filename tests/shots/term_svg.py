#!/usr/bin/env python3
"""A terminal's screen, as `tmux capture-pane -e -p` prints it, as an SVG picture: term_svg.py < screen > picture.svg"""

import html
import re
import sys
import unicodedata

COLORS = {31: "#f2727c", 32: "#4cc27f", 33: "#e5a32f", 36: "#55b6d9"}
INK, DIM, GROUND, FRAME = "#d5dae2", "#7d8897", "#12161c", "#262d38"
CELL_X, CELL_Y, PAD, BAR = 8.05, 19, 18, 34


def spans(line):
    """(text, colour, is dim) of a line with SGR sequences (ECMA-48)."""
    color, dim = None, False
    for part in re.split(r"(\x1b\[[\d;]*m)", line):
        sgr = re.fullmatch(r"\x1b\[([\d;]*)m", part)
        if not sgr:
            if part:
                yield part, color, dim
            continue
        for code in (int(n or 0) for n in sgr.group(1).split(";")):
            if code == 0:
                color, dim = None, False
            elif code == 2:
                dim = True
            elif code == 39:
                color = None
            elif code in COLORS:
                color = COLORS[code]


def columns(text):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def picture(screen, title):
    lines = screen.rstrip("\n").split("\n")
    width = max(columns(re.sub(r"\x1b\[[\d;]*m", "", line)) for line in lines) * CELL_X + 2 * PAD
    height = len(lines) * CELL_Y + 2 * PAD + BAR - 8
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="img" '
           f'aria-label="{html.escape(title)}">',
           f'<rect x=".5" y=".5" width="{width - 1:.0f}" height="{height - 1:.0f}" rx="10" fill="{GROUND}" stroke="{FRAME}"/>',
           *(f'<circle cx="{20 + 20 * i}" cy="19" r="5.5" fill="{c}"/>' for i, c in enumerate(("#f2727c", "#e5a32f", "#4cc27f"))),
           f'<text x="{width / 2:.0f}" y="23.5" fill="{DIM}" text-anchor="middle" font-family="system-ui,sans-serif" font-size="12.5">'
           f'{html.escape(title)}</text>',
           f'<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,\'DejaVu Sans Mono\',monospace" font-size="13.4" fill="{INK}">']
    for row, line in enumerate(lines):
        column, y = 0, PAD + BAR + row * CELL_Y
        for text, color, dim in spans(line):
            fill = f' fill="{color or DIM}"' if color or dim else ""
            if text.strip():
                lead = len(text) - len(text.lstrip(" "))
                word = text.strip(" ")
                out.append(f'<text x="{PAD + (column + lead) * CELL_X:.1f}" y="{y}" textLength="{columns(word) * CELL_X:.1f}"{fill}>'
                           f'{html.escape(word).replace(" ", chr(0xa0))}</text>')  # else runs of blanks become one
            column += columns(text)
    return "\n".join([*out, "</g>", "</svg>", ""])


if __name__ == "__main__":
    sys.stdout.write(picture(sys.stdin.read(), sys.argv[1] if len(sys.argv) > 1 else "dsagent"))
