// The first screen: counts, sizes, and what RUC changed.

let knownStats = new Map();
listeners.push(() => { knownStats = new Map(); });

function stats(cluster) {
  if (!knownStats.has(cluster)) knownStats.set(cluster, computeStats(cluster));
  return knownStats.get(cluster);
}

function computeStats(cluster) {
  const rows = members(cluster);
  let trusted = 0, doubtful = 0, sure = 0, nearest = 0, joined = 0;
  const alike = new Map();
  for (const row of rows) {
    trusted += isTrusted(row);
    doubtful += isDoubtful(row);
    sure += confidence(row);
    nearest += isByHand(row) || current.nearest[row] === cluster;
    joined += isElsewhere(row);
    const second = secondBest(row);
    if (second) alike.set(second.cluster, (alike.get(second.cluster) || 0) + second.share);
  }
  const n = rows.length || NaN;
  const [closest] = [...alike].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  return {
    size: rows.length, doubtful, trustedShare: trusted / n, confidence: sure / n, nearestShare: nearest / n, joined,
    alike: closest && closest[1] / n >= 0.02 ? { cluster: closest[0], share: closest[1] / n } : null,
  };
}

// Good where nearly all are expected to be right and lie with their own; the numbers stand beside it.
function verdict(cluster, numbers) {
  if (current.junk.has(cluster)) return { name: 'junk', text: 'Junk' };
  if (!numbers.size) return { name: 'none', text: 'Empty' };
  if (numbers.confidence >= 0.9 && numbers.nearestShare >= 0.75) return { name: 'good', text: 'Good' };
  if (numbers.confidence >= 0.7 && numbers.nearestShare >= 0.5) return { name: 'mixed', text: 'Mixed' };
  return { name: 'check', text: 'Look closely' };
}

function verdictBadge(cluster, numbers) {
  const { name, text } = verdict(cluster, numbers);
  return h('span', { class: `verdict ${name}` }, text);
}

function flows() {
  const found = new Map();
  for (let row = 0; row < nRows; row++) {
    if (!isChanged(row) && !isPlaced(row)) continue;
    const key = `${current.initial[row]}>${current.cluster[row]}`;
    if (!found.has(key)) found.set(key, { key, from: current.initial[row], to: current.cluster[row], rows: [] });
    found.get(key).rows.push(row);
  }
  for (const flow of found.values()) flow.rows = byKey(flow.rows, (row) => -current.confidence[row]);
  return [...found.values()].sort((a, b) => b.rows.length - a.rows.length || a.from - b.from || a.to - b.to);
}

function warningsList(nShown) {
  const list = h('ul', { class: 'warnings', 'aria-label': 'Warnings' }, data.warnings.slice(0, nShown).map((text) => h('li', null, text)));
  if (data.warnings.length > nShown) list.append(h('li', { class: 'rest' }, button(`Show all ${number(data.warnings.length)} warnings`, () => list.replaceWith(warningsList(Infinity)), { class: 'link' })));
  return list;
}

function buildSummary() {
  const lead = h('p', { class: 'headline' });
  const tiles = h('div', { class: 'tiles' });
  const sizes = h('div', { class: 'sizes' });
  const flowList = h('div', { class: 'flows' });
  let open = null;
  let nFlows = 8;
  let nSizes = 16;

  const main = document.getElementById('main');
  main.append(h('section', { id: 'outcome', class: 'outcome', 'aria-label': 'What came out' },
    h('p', { class: 'eyebrow' }, 'What came out'),
    h('h1', null, data.title), lead, tiles,
    h('p', { class: 'note meaning' }, data.isCalibrated ? 'Confidence is the probability of being in the right cluster, estimated without ground truth.'
      : `Confidence is what the networks say: how far they are right could not be estimated for this run. It ranks the ${nouns}; it is not the share of them that is right.`),
    data.remarks.map((text) => h('p', { class: 'note remark' }, `Note: ${text}.`)),
    data.warnings.length > 0 && warningsList(5),
    h('div', { class: 'first-screen' },
      h('div', { class: 'card' }, h('div', { class: 'card-head' }, h('h2', null, 'Sizes of the clusters'),
        h('span', { class: 'legend' }, h('i', { class: 'key sure' }), 'sure', h('i', { class: 'key doubtful' }), 'doubtful')), sizes),
      h('div', { class: 'card', id: 'changes' }, h('div', { class: 'card-head' }, h('h2', null, 'What RUC changed'),
        h('span', { class: 'legend' }, 'before → after')), flowList))));

  function updateLead() {
    let changed = 0, placed = 0, doubtful = 0, byHand = 0, wrong = 0, junk = 0;
    for (let row = 0; row < nRows; row++) {
      if (isJunk(row)) { junk += 1; continue; }
      byHand += isByHand(row);
      changed += isChanged(row);
      placed += isPlaced(row);
      doubtful += isDoubtful(row);
      wrong += 1 - confidence(row);
    }
    wrong = Math.round(wrong);
    const nKept = nRows - junk;
    const filled = clusters().filter((cluster) => members(cluster).length && !current.junk.has(cluster));
    const named = filled.length;
    replaceChildren(lead, `${plural(nKept, noun)} in ${plural(named, 'cluster')}${junk ? `, and ${number(junk)} thrown away as junk` : ''}. `,
      changed ? ['RUC moved ', h('b', { class: 'ink-change' }, number(changed)), ` of them (${percent(changed / nKept, 1)}) to another cluster`] : 'RUC left every one where it was',
      placed ? [', placed ', h('b', null, number(placed)), ' that had no label,'] : '',
      doubtful ? [' and is in doubt about ', h('b', null, number(doubtful)), '. '] : ' and is in doubt about none. ',
      data.isCalibrated ? 'It expects ' : 'Its networks, unchecked, expect ',
      wrong ? ['about ', h('b', null, number(wrong)), ` (${percent(wrong / nKept, 1)})`] : `no ${noun}`, ' to be in a wrong cluster.');
    const shown = [
      [number(nKept), nouns, '#images'], [number(named), 'clusters', '#clusters'],
      [number(changed), 'changed', '#changes', changed && 'ink-change'], [percent(1 - wrong / nKept), 'expected right', '#clusters', 'ink-trust'],
      [number(doubtful), 'doubtful', '#doubtful'], [number(data.skipped.length), 'skipped', data.skipped.length ? '#skipped' : null],
      byHand && [number(byHand), 'placed by you', '#images'],
    ].filter(Boolean);
    replaceChildren(tiles, shown.map(([value, label, target, ink]) => h(target ? 'a' : 'div', { class: 'stat', href: target }, h('span', { class: `stat-value ${ink || ''}` }, value), h('span', { class: 'stat-label' }, label))));
  }

  function updateSizes() {
    const rows = clusters().map((cluster) => ({ cluster, ...stats(cluster) })).sort((a, b) => b.size - a.size || a.cluster - b.cluster);
    const most = Math.max(1, ...rows.map((row) => row.size));
    const face = (cluster) => {
      const best = members(cluster).filter(isPictured).reduce((a, b) => (a === null || base.rank[b] < base.rank[a] ? b : a), null);
      return best === null ? swatch(cluster) : picture(best, '');
    };
    replaceChildren(sizes, rows.slice(0, nSizes).map((row) => h('a', { class: `size${current.junk.has(row.cluster) ? ' is-junk' : ''}`, href: `#cluster-${row.cluster}` },
      h('span', { class: 'face' }, face(row.cluster)),
      h('span', { class: 'size-name' }, clusterName(row.cluster)),
      h('span', { class: 'bar', role: 'img', 'aria-label': `${plural(row.size, noun)}, ${number(row.doubtful)} doubtful` },
        h('span', { class: 'bar-sure', style: { width: `${(row.size - row.doubtful) / most * 100}%` } }),
        row.doubtful > 0 && h('span', { class: 'bar-doubtful', style: { width: `${row.doubtful / most * 100}%` } })),
      h('span', { class: 'size-count' }, number(row.size)),
      verdictBadge(row.cluster, row))),
    rows.length > nSizes && button(`Show all ${rows.length} clusters`, () => { nSizes = Infinity; updateSizes(); }, { class: 'link more' }));
  }

  function updateFlows() {
    const all = flows();
    if (!all.length) {
      replaceChildren(flowList, emptyState('Nothing moved', `RUC agrees with the initial clustering on every ${noun}.`));
      return;
    }
    const most = all[0].rows.length;
    let opened = null;
    replaceChildren(flowList, all.slice(0, nFlows).map((flow) => {
      const isOpen = open === flow.key;
      const strip = flow.rows.filter(isPictured).slice(0, 6).map((row) => picture(row, ''));
      const head = h('button', { type: 'button', class: 'flow', 'aria-expanded': String(isOpen), 'data-action': flow.key, on: { click: () => { open = isOpen ? null : flow.key; keepingFocus(updateFlows); } } },
        h('span', { class: 'flow-route' }, chip(flow.from), h('span', { class: 'arrow', 'aria-label': 'to' }, '→'), chip(flow.to)),
        h('span', { class: 'flow-strip', 'aria-hidden': 'true' }, strip),
        h('span', { class: 'flow-bar', 'aria-hidden': 'true' }, h('span', { style: { width: `${Math.max(2, flow.rows.length / most * 100)}%` } })),
        h('span', { class: 'flow-count' }, plural(flow.rows.length, noun)));
      if (!isOpen) return head;
      const pictures = gallery(() => flow.rows, { lines: 2, size: 'small', withoutFlags: true, label: `${clusterName(flow.from)} to ${clusterName(flow.to)}` });
      opened = pictures;
      return [head, h('div', { class: 'flow-open' }, pictures.element)];
    }),
    all.length > nFlows && button(`Show all ${number(all.length)} flows`, () => { nFlows = Infinity; updateFlows(); }, { class: 'link more' }));
    if (opened) opened.update();
  }

  function update() {
    updateLead();
    updateSizes();
    updateFlows();
  }
  listeners.push(update);
  update();
}
