#!/usr/bin/env python3
"""svg.py FILE - what a picture of dpl-show --svg shows, as one JSON object

Exits 1 where it is no XML, or holds what runs or is fetched from elsewhere."""
import json
import re
import sys
import xml.dom.minidom

SVG = "http://www.w3.org/2000/svg"
ELEMENTS = {"svg", "title", "style", "rect", "path", "text", "tspan", "g"}


def text_of(node):
    return "".join(
        child.data if child.nodeType == child.TEXT_NODE else "" if child.tagName == "title" else text_of(child)
        for child in node.childNodes
    )


def title_of(node):
    return "".join(text_of(child) for child in node.childNodes if getattr(child, "tagName", "") == "title")


def bar(node):
    if node.tagName == "rect":
        x, y, width, height = (float(node.getAttribute(name)) for name in ("x", "y", "width", "height"))
    else:  # one that goes on: Mx yhWIDTHlPOINT HALF...
        x, y, width, half = (float(n) for n in re.match(r"M([\d.]+) ([\d.]+)h([\d.]+)l[\d.]+ ([\d.]+)", node.getAttribute("d")).groups())
        height = 2 * half
    tip = title_of(node)
    return {
        "id": re.match(r"[^:\n]*", tip).group(),
        "state": node.getAttribute("class").split()[1],
        "open": node.tagName == "path",
        "x": x, "y": y, "width": width, "height": height, "tip": tip,
    }


def main():
    with open(sys.argv[1], "rb") as file:
        raw = file.read()
    root = xml.dom.minidom.parseString(raw).documentElement
    seen = {"title": title_of(root), "height": float(root.getAttribute("height")), "bars": [], "marks": [], "texts": []}
    if root.namespaceURI != SVG:
        sys.exit("no SVG")
    for node in [root, *root.getElementsByTagName("*")]:
        if node.tagName not in ELEMENTS:
            sys.exit(f"an element <{node.tagName}>")
        for name, value in node.attributes.items():
            if name.startswith("on") or "href" in name or "url(" in value or name == "style" or ("://" in value and name != "xmlns"):
                sys.exit(f"{name}={value}")
        kinds = node.getAttribute("class").split()
        if "bar" in kinds:
            seen["bars"].append(bar(node))
        elif "mark" in kinds:
            x = re.match(r"M([\d.]+) ", node.getAttribute("d")).group(1)
            seen["marks"].append({"state": kinds[1], "x": float(x)})
        elif node.tagName == "text":
            seen["texts"].append(text_of(node))
    style = text_of(root.getElementsByTagName("style")[0])
    if "prefers-color-scheme:dark" not in style or re.search(r"url\(|@import|//", style):
        sys.exit("the style sheet")
    json.dump(seen, sys.stdout)
    print()


main()
