/** The style sheet of all pages: light and dark, wide and narrow, nothing from elsewhere. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #f4f6f8; --card: #ffffff; --ink: #17202c; --soft: #566274; --line: #dce2ea;
  --accent: #0b7a75; --good: #15803d; --warn: #a16207; --bad: #b91c1c; --tint: #e6f4f3;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0e1319; --card: #161d26; --ink: #e5ebf3; --soft: #94a2b5; --line: #28323f;
    --accent: #3ecfc4; --good: #4ade80; --warn: #facc15; --bad: #f87171; --tint: #12302f;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  -webkit-text-size-adjust: 100%; overflow-wrap: break-word;
}
header, main, footer { max-width: 72rem; margin: 0 auto; padding: 0 1.25rem; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; align-items: center;
  padding-top: 1.1rem; padding-bottom: 1.1rem; }
.brand { display: flex; gap: .6rem; align-items: center; color: inherit; font-weight: 650;
  letter-spacing: -.01em; text-decoration: none; }
.brand svg { width: 1.9rem; height: 1.9rem; flex: none; color: var(--accent); }
nav { display: flex; flex-wrap: wrap; gap: .15rem; margin-left: -.55rem; }
nav a { padding: .2rem .55rem; border-radius: .45rem; color: var(--soft); text-decoration: none; }
nav a:hover { color: var(--ink); background: var(--tint); }
nav a[aria-current] { color: var(--accent); background: var(--tint); font-weight: 600; }
a { color: var(--accent); }
a:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: .2rem; }
h1 { font-size: 1.75rem; line-height: 1.2; letter-spacing: -.02em; margin: .6rem 0 .4rem; }
h2 { font-size: 1.05rem; margin: 0 0 .6rem; letter-spacing: -.005em; }
p { margin: 0 0 .8rem; max-width: 46rem; }
.lead { color: var(--soft); font-size: 1.08rem; }
.soft { color: var(--soft); }
section { background: var(--card); border: 1px solid var(--line); border-radius: .8rem;
  padding: 1.1rem 1.25rem; margin: 1rem 0; }
section > :last-child { margin-bottom: 0; }
.cards { display: grid; gap: .8rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 12rem), 1fr)); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .8rem;
  padding: .8rem 1rem; min-width: 0; }
.card dt { color: var(--soft); font-size: .86rem; }
.card dd { margin: .1rem 0 0; font-size: 1.4rem; font-weight: 620; letter-spacing: -.015em;
  line-height: 1.3; font-variant-numeric: tabular-nums; }
.card .note { display: block; font-size: .84rem; font-weight: 400; letter-spacing: 0;
  color: var(--soft); }
.two { display: grid; gap: 1rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
.two > section { margin: 0; min-width: 0; }
.state { display: inline-flex; align-items: center; gap: .5rem; }
.state::before { content: ""; width: .65em; height: .65em; border-radius: 50%; flex: none;
  background: currentColor; }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
.scroll { overflow-x: auto; margin: 0 -1.25rem; padding: 0 1.25rem; }
table { border-collapse: collapse; width: 100%; font-size: .93rem;
  font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .42rem .9rem .42rem 0; border-bottom: 1px solid var(--line);
  white-space: nowrap; vertical-align: baseline; }
thead th { color: var(--soft); font-weight: 550; font-size: .86rem; }
tbody th { font-weight: 500; }
tbody tr:last-child > * { border-bottom: 0; }
th:last-child, td:last-child { padding-right: 0; }
.n { text-align: right; }
.wrap { white-space: normal; min-width: 9rem; }
.wrap .note { display: block; color: var(--soft); font-size: .88em; line-height: 1.4; }
thead a { color: inherit; }
code, .mono { font-family: var(--mono); font-size: .92em; }
pre { background: var(--ground); border: 1px solid var(--line); border-radius: .55rem;
  padding: .7rem .9rem; margin: 0 0 .8rem; overflow-x: auto; }
.tag { display: inline-block; border: 1px solid var(--line); border-radius: 1rem;
  padding: 0 .55rem; margin-right: .3rem; font-size: .82rem; color: var(--soft); }
meter { width: 7rem; height: .6rem; vertical-align: middle; }
dl.facts { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .4rem 1.25rem;
  margin: 0; }
dl.facts dt { color: var(--soft); } dl.facts dd { margin: 0; min-width: 0; }
.empty { color: var(--soft); padding: .6rem 0; }
footer { color: var(--soft); font-size: .86rem; padding-top: .4rem; padding-bottom: 2rem; }
@media (max-width: 30rem) {
  header, main, footer { padding-left: .9rem; padding-right: .9rem; }
  section { padding: .95rem; } .scroll { margin: 0 -.95rem; padding: 0 .95rem; }
  h1 { font-size: 1.45rem; }
  .cards { grid-template-columns: 1fr 1fr; gap: .6rem; }
  .card { padding: .65rem .8rem; } .card dd { font-size: 1.15rem; }
  dl.facts { grid-template-columns: 1fr; gap: 0; } dl.facts dd { margin-bottom: .55rem; }
}
`;
