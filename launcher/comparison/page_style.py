"""The page's style: dark and light, wide and narrow."""

STYLE = """
:root{--back:#fff;--front:#1b1f24;--soft:#57606a;--line:#d0d7de;--card:#f6f8fa;--good:#116329;--bad:#a40e26;
--warn:#7a4b00;--warnback:#fff4d6;--goodback:#dcf5e3;--badback:#ffe1e0;--c0:#0550ae;--c1:#b0420a;--c2:#116329;--c3:#6639ba}
@media(prefers-color-scheme:dark){:root{--back:#0d1117;--front:#e6edf3;--soft:#9da7b3;--line:#3d444d;--card:#161b22;
--good:#56d364;--bad:#ff8b83;--warn:#f0c04f;--warnback:#2e2509;--goodback:#12301a;--badback:#3c1618;--c0:#79c0ff;
--c1:#ffa657;--c2:#56d364;--c3:#d2a8ff}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:70rem;padding:1rem;background:var(--back);color:var(--front);
font:1rem/1.5 system-ui,sans-serif}
h1{font-size:1.6rem;margin:.5rem 0}h2{font-size:1.3rem;margin:2rem 0 .5rem}h3{font-size:1.05rem;margin:1.5rem 0 .4rem}
code{font:.9em ui-monospace,monospace;overflow-wrap:anywhere}
header p,footer p,.share{color:var(--soft)}
.warning,.verdict{padding:.6rem .8rem;border-left:.3rem solid var(--warn);background:var(--warnback);margin:.6rem 0}
.v-same{border-color:var(--good);background:var(--goodback)}
.v-differs,.v-slower{border-color:var(--bad);background:var(--badback)}
.where{font-weight:600}.role{color:var(--c0)}.bad{color:var(--bad);font-weight:600}
.scroll{overflow-x:auto;margin:.5rem 0;border:1px solid var(--line);border-radius:.4rem}
.scroll:focus-visible,summary:focus-visible{outline:.15rem solid var(--c0);outline-offset:.1rem}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{padding:.35rem .6rem;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
thead th{background:var(--card);white-space:nowrap}tbody tr:last-child>*{border-bottom:0}
tbody th{font-weight:400;min-width:7.5rem}th[scope=row] strong.bad{display:block}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
details{border:1px solid var(--line);border-radius:.4rem;padding:.4rem .8rem;margin:.4rem 0}
summary{cursor:pointer}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.plot{width:100%;height:auto;max-width:48rem;display:block;font-size:13px}
.plot text{fill:var(--front)}.plot .tick,.plot .axis{fill:var(--soft);font-size:12px}
@media(max-width:40rem){.plot text,.plot .tick,.plot .axis{font-size:17px}}
.grid{stroke:var(--line);stroke-width:1}.curve{fill:none;stroke-width:2.2}
.c0{stroke:var(--c0)}.c1{stroke:var(--c1);stroke-dasharray:7 3}.c2{stroke:var(--c2);stroke-dasharray:2 3}
.c3{stroke:var(--c3);stroke-dasharray:9 3 2 3}
.endpoints tbody th{min-width:14rem}.endpoints .n{white-space:normal}.endpoints span{white-space:nowrap}
@media(max-width:40rem){.endpoints tbody th{min-width:9.5rem}}
.bar{width:6rem;height:.7rem;display:block;margin-left:auto}
.bar line{stroke:var(--soft)}.bar .worse{fill:var(--bad)}.bar .better{fill:var(--good)}
.cell{display:inline-block;min-width:3rem;padding:0 .3rem;border-radius:.2rem}
.cell.none{color:var(--soft)}.cell.agree{background:var(--goodback)}.cell.differ{background:var(--badback)}
.cell.differ.d2,.cell.differ.d3{color:var(--bad);font-weight:600}
"""
