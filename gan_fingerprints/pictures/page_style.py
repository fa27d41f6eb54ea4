"""How pages look: in light, dark and print, on screens of any width."""

import base64
import hashlib


def policy(script: str) -> str:
    """What allows a script, and no other, in a Content-Security-Policy."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"


# Browsers that keep to this policy fetch nothing, whatever the text of a page may contain.
HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" \
content="default-src 'none'; img-src data:; style-src 'unsafe-inline'{scripts}">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1>
<p class="lead">{lead}</p>{box}</header>
"""

STYLE = """
:root { --ink: #1d2430; --soft: #5a6472; --line: #d9dee5; --back: #fff; --card: #f5f7fa;
  --accent: #1f5fa8; --good: #1a7f37; --bad: #b42318; --warn: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --soft: #a3adba; --line: #363e49;
  --back: #14181e; --card: #1d232b; --accent: #7fb3ec; --good: #5cc27a; --bad: #ff8d80;
  --warn: #e3b25c; } }
* { box-sizing: border-box; }
body { max-width: 70rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; background: var(--back);
  color: var(--ink); font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1, h2, h3 { line-height: 1.25; overflow-wrap: break-word; }
h1 { font-size: 1.9rem; margin: 0 0 .5rem; }
h2 { font-size: 1.4rem; margin: 3rem 0 .75rem; padding-top: .75rem;
  border-top: 2px solid var(--accent); }
h3 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p, ul, li { max-width: 46rem; }
p, li, dd, figcaption, td, th { overflow-wrap: break-word; }
a { color: var(--accent); }
.lead { font-size: 1.15rem; color: var(--soft); margin: 0; }
nav ol { display: flex; flex-wrap: wrap; gap: .2rem 1.5rem; padding: 0; margin: 1.5rem 0 0;
  list-style: none; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: .75rem;
  margin: 1rem 0; }
.facts div { padding: .6rem .85rem; background: var(--card); border-radius: .4rem;
  border-left: 3px solid var(--accent); }
dt, caption, figcaption, .found { color: var(--soft); font-size: .9rem; }
dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .4rem; }
th, td { padding: .4rem 1.1rem .4rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); min-width: 4rem; max-width: 26rem; }
thead th { color: var(--soft); font-weight: 600; font-size: .9rem; vertical-align: bottom; }
tbody th { font-weight: 600; }
.number { text-align: right; padding-left: .9rem; }
td.number { white-space: nowrap; }
td img { display: block; height: 6rem; width: auto; }
figure { margin: 1.25rem 0; }
img { max-width: 100%; height: auto; background: #fff; border-radius: .25rem; }
.pixelated { image-rendering: pixelated; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr));
  gap: 1rem; margin: 1.25rem 0; align-items: start; }
.pictures figure { margin: 0; min-width: 0; }
.pictures img { width: 100%; display: block; }
figcaption { margin-top: .35rem; max-width: 46rem; }
pre { background: var(--card); border-radius: .4rem; padding: .8rem 1rem; overflow-x: auto;
  font: .85rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.wrap { white-space: pre-wrap; overflow-wrap: anywhere; }
details { margin: 1rem 0; border: 1px solid var(--line); border-radius: .4rem;
  padding: .5rem .9rem; }
summary { cursor: pointer; color: var(--accent); font-weight: 600; }
.checks { list-style: none; padding: 0; }
.checks li { margin: .4rem 0; padding-left: .75rem; border-left: 3px solid var(--line); }
.met strong { color: var(--good); }
.checks .unmet { border-left-color: var(--bad); }
.unmet strong { color: var(--bad); }
.box { margin: 1.5rem 0 0; padding: .25rem 1.1rem .75rem; background: var(--card);
  border: 2px solid var(--accent); border-radius: .4rem; }
.box h2 { border: 0; padding: 0; margin: .75rem 0 .5rem; font-size: 1.2rem; }
.box dl { margin: 0; display: grid; grid-template-columns: 11rem minmax(0, 1fr); gap: .6rem 1rem; }
.box dt { font-weight: 600; color: var(--ink); }
.box dd { font-weight: 400; max-width: 46rem; overflow-wrap: anywhere; }
.box dd p { margin: 0 0 .3rem; }
.warning { padding: .6rem .9rem; background: var(--card); border-left: 3px solid var(--warn); }
.warning strong { color: var(--warn); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.long, .long thead, .long tbody { display: block; }
.long tr { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(0, 1fr); gap: 0 1rem;
  border-bottom: 1px solid var(--line); }
.long tbody tr { content-visibility: auto; contain-intrinsic-size: auto 4.5rem; }
.long td, .long th { border: 0; padding: .4rem 0; min-width: 0; max-width: none;
  overflow-wrap: anywhere; }
.long tr[hidden], .one[hidden] { display: none; }
.long .number { text-align: left; padding: .4rem 0; }
.chosen tr { grid-auto-flow: row; }
.c5 tr { grid-template-columns: 8.5rem 4fr 6.5rem 6fr 6fr; }
.c6 tr { grid-template-columns: 8.5rem 4fr 4fr 6.5rem 6fr 6fr; }
.chosen td:nth-child(2) { font-weight: 600; }
.chosen td img { height: auto; width: 8.5rem; }
.tools { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: end; margin: 1rem 0; }
.tools label { max-width: 100%; min-width: 0; font-size: .9rem; color: var(--soft); }
.tools select { display: block; max-width: 100%; font: inherit; color: var(--ink);
  background: var(--back); border: 1px solid var(--soft); border-radius: .25rem; padding: .25rem; }
button { font: inherit; padding: .3rem .8rem; }
.tools[hidden] { display: none; }
.one { border-top: 1px solid var(--line); padding-top: .5rem; margin-top: 1.5rem; }
.one h3 { margin: .5rem 0 0; }
.path { overflow-wrap: anywhere; color: var(--soft); margin: 0; }
.pictures.large { grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); }
@media (max-width: 40rem) { body { padding: 1.25rem 1rem 3rem; } h1 { font-size: 1.5rem; }
  table { width: max-content; } th, td { max-width: 13rem; } caption { max-width: 18rem; }
  .few, .long { width: 100%; }
  .few th, .few td { min-width: 0; max-width: none; padding-right: .7rem; overflow-wrap: anywhere; }
  .box dl { grid-template-columns: minmax(0, 1fr); gap: .2rem; } .box dd { margin-bottom: .5rem; }
  .long thead { display: none; } .long tr { display: block; padding: .5rem 0; }
  .long td, .long th { display: block; padding: .1rem 0; }
  .chosen td img { width: 100%; max-width: 16rem; }
  .chosen td:nth-last-child(3)::before { content: "probability "; color: var(--soft); }
  .pictures.large { grid-template-columns: minmax(0, 1fr); }
  .facts { grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); }
  .pictures { grid-template-columns: repeat(auto-fill, minmax(6.5rem, 1fr)); } }
@media print { :root { --ink: #000; --soft: #444; --line: #bbb; --back: #fff; --card: #fff;
  --accent: #1f5fa8; --good: #1a7f37; --bad: #b42318; --warn: #8a5a00; }
  html { font-size: 10pt; } body { max-width: none; padding: 0; } nav { display: none; }
  figure, tr, li, .facts div, .one { break-inside: avoid; }
  .pictures.large { grid-template-columns: repeat(3, minmax(0, 1fr)); }
  .c5 tr { grid-template-columns: 5rem 4fr 5rem 6fr 6fr; } .chosen td img { width: 5rem; }
  .c6 tr { grid-template-columns: 5rem 4fr 5fr 5rem 6fr 6fr; }
  .one { font-size: 85%; } .one td, .one th { padding: .1rem 0; }
  .pictures.large img { max-height: 7cm; object-fit: contain; object-position: left top; }
  .tools, button { display: none; } .long tbody tr { content-visibility: visible; }
  h2, h3 { break-after: avoid; }
  .scroll { overflow: visible; } pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  details::details-content { content-visibility: visible; block-size: auto; } }
"""
