// What RUC changed, from which cluster to which: the largest flows, and all of them as a table.

const mostFlowClusters = 40; // of a table that can still be read

// Rows are clusters before, columns after; a click on a number shows the images.
function flowTable(all, onOpen) {
  const inOrder = (values) => [...new Set(values)].sort((a, b) => a - b);
  const from = inOrder(all.map((flow) => flow.from));
  const to = inOrder(all.map((flow) => flow.to));
  if (Math.max(from.length, to.length) > mostFlowClusters) return null;
  const byKeys = new Map(all.map((flow) => [flow.key, flow]));
  const most = all[0].rows.length;
  return h('div', { class: 'table-frame flow-table' }, h('table', { class: 'confusion' },
    h('thead', null, h('tr', null, h('th', { scope: 'col' }, 'from \\ to'), to.map((cluster) => h('th', { scope: 'col' }, chip(cluster))))),
    h('tbody', null, from.map((one) => h('tr', null, h('th', { scope: 'row' }, chip(one)), to.map((other) => {
      const flow = byKeys.get(`${one}>${other}`);
      return h('td', { style: { '--share': `${flow ? Math.round(flow.rows.length / most * 60) : 0}%` } },
        flow ? button(number(flow.rows.length), () => onOpen(flow), { class: 'cell', 'aria-label': `${clusterName(one)} to ${clusterName(other)}: ${plural(flow.rows.length, noun)}` }) : h('span', { class: 'faint' }, one === other ? '' : '·'));
    }))))));
}
