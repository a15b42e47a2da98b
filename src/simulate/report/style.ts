// How a report looks, from a telephone to a wide screen, light and dark.

export const STYLE = `
:root{color-scheme:light dark;--first:#1f6feb;--second:#d97706;--soft:#8884;--text:#1f2328;--weak:#59636e}
@media(prefers-color-scheme:dark){:root{--first:#4493f8;--second:#f0a030;--text:#e6edf3;--weak:#9198a1}body{background:#0d1117}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--text);margin:0}
main{max-width:64rem;margin:0 auto;padding:1rem}
h1{font-size:1.5rem;line-height:1.25;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:2.5rem 0 .75rem;overflow-wrap:anywhere}
p{margin:.5rem 0}
.note,.top,.axis{color:var(--weak);font-size:.85rem}
.wide{overflow-x:auto;margin:.5rem 0}
table{border-collapse:collapse;min-width:50%}
th,td{text-align:left;padding:.3rem 1rem .3rem 0;border-bottom:1px solid var(--soft);vertical-align:top;white-space:nowrap}
th{font-weight:600}
details{margin-top:.75rem}
summary{cursor:pointer;color:var(--weak);font-size:.85rem}
.chart svg{display:block}
.axis{display:flex;justify-content:space-between;border-top:1px solid var(--soft);padding-top:.25rem}
.row{display:grid;grid-template-columns:minmax(0,14rem) minmax(0,1fr);gap:.25rem 1rem;align-items:center;margin:.4rem 0}
.label{overflow-wrap:anywhere}
.bar{display:grid;grid-template-columns:minmax(0,1fr) 4rem;gap:.5rem;align-items:center}
.number{text-align:right;font-variant-numeric:tabular-nums}
.legend{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;font-size:.85rem}
.legend i{display:inline-block;width:.8rem;height:.8rem;border-radius:2px;margin-right:.4rem;vertical-align:-.1rem}
.s0{fill:var(--first);background:var(--first)}
.s1{fill:var(--second);background:var(--second)}
.quota{stroke:var(--text);stroke-width:1.5;stroke-dasharray:5 4}
polyline{fill:none;vector-effect:non-scaling-stroke;stroke-width:2}
.all{stroke:var(--weak);background:var(--weak);stroke-dasharray:4 4}
.l0{stroke:var(--first)}
.l1{stroke:var(--second)}
@media(max-width:40rem){.row{grid-template-columns:minmax(0,1fr)}th,td{padding-right:.75rem;font-size:.85rem}}
@media print{details{display:none}}
`;
