// The first screen: counts, sizes, and what RUC changed.

let knownStats = new Map();
listeners.push(() => { knownStats = new Map(); });

function stats(cluster) {
  if (!knownStats.has(cluster)) knownStats.set(cluster, computeStats(cluster));
  return knownStats.get(cluster);
}

function computeStats(cluster) {
  const rows = members(cluster);
  let trusted = 0, doubtful = 0, sure = 0, stable = 0, nearest = 0, joined = 0;
  for (const row of rows) {
    trusted += isTrusted(row);
    doubtful += isDoubtful(row);
    sure += confidence(row);
    stable += base.stability ? base.stability[row] / 10000 : NaN;
    nearest += isByHand(row) || current.nearest[row] === cluster;
    joined += isElsewhere(row);
  }
  const n = rows.length || NaN;
  return {
    size: rows.length, doubtful, trustedShare: trusted / n, confidence: sure / n, stability: stable / n, nearestShare: nearest / n, joined,
    alike: mostAlike(cluster),
  };
}

// The share of a cluster that is right: by the truth, else as a person's answers have it; null where nobody has looked.
function rightShare(cluster, numbers) {
  const measured = data.metrics && data.metrics.refined.clusters.find((one) => one.cluster === cluster);
  if (measured) return measured.precision;
  return data.checked && !isBeyondAnswers() ? numbers.confidence : null;
}

function wordsOfRight(cluster, numbers) {
  const share = rightShare(cluster, numbers);
  if (share !== null) return h('span', { title: data.metrics ? 'By the truth' : 'By a person’s answers' }, h('b', null, percent(share)), data.metrics ? ' right' : ' expected to be right');
  return Number.isFinite(numbers.stability) && h('span', { title: 'When the clustering is made again, from halves of the images and of the features; it says nothing about being right' }, h('b', null, percent(numbers.stability)), ' stay together');
}

// What is known of all images, measured before estimated: { words, tile }.
function howRight() {
  if (data.metrics) {
    const { value, low, high } = data.metrics.refined.numbers.accuracy;
    return { words: ['By the truth, ', h('b', null, percent(value, 1)), ` are in the right cluster (${percent(low, 1)} to ${percent(high, 1)}).`], tile: [percent(value, 1), 'right, measured', '#evaluation', 'ink-trust'] };
  }
  if (data.checked) {
    const { learned, accuracy, n_yes: yes } = data.checked;
    const { value, low, high, n_answers: asked } = learned || accuracy;
    if (learned) return { words: [`Of ${number(asked)} that a person looked at ${number(yes)} were right. Learned from them, `, h('b', null, percent(value)), ` of all are now (${percent(low)} to ${percent(high)}), by answers that weren’t learned from.`], tile: [percent(value), 'right, learned from answers', '#clusters', 'ink-trust'] };
    return { words: [`Of ${number(asked)} that a person looked at ${number(data.checked.n_yes)} were right, so `, h('b', null, percent(value)), ` of all were (${percent(low)} to ${percent(high)}).`], tile: [percent(value), `right, by ${number(asked)} answers`, '#clusters', 'ink-trust'] };
  }
  const all = base.stability ? base.stability.reduce((sum, one) => sum + one, 0) / 10000 / nRows : NaN;
  return { words: [`How many are in the right cluster isn’t known; fifty answers tell: `, h('code', null, `ruc check ${data.runFolder}`), '.'], tile: Number.isFinite(all) && [percent(all), 'stay together', '#clusters'] };
}

const meanConfidence = base.confidence.reduce((sum, one) => sum + one, 0) / nRows;

// Once it has learned, confidence can be more than the answers allow: nothing is learned where nobody said what is right.
function isBeyondAnswers() {
  const { learned } = data.checked;
  return Boolean(learned) && (meanConfidence < learned.low || meanConfidence > learned.high);
}

function wordsOfAnswered() {
  const { low, high } = data.checked.learned || data.checked.accuracy;
  if (isBeyondAnswers()) return `Confidence ranks the ${nouns}: it is ${percent(meanConfidence)} on average, where by the answers ${percent(low)} to ${percent(high)} are right.`;
  return 'Confidence is set to a person’s answers: how likely each one is in the right cluster.';
}

// Good where nearly all are right; where nobody has looked, how far the cluster is found again: no claim of being right.
function verdict(cluster, numbers) {
  if (current.junk.has(cluster)) return { name: 'junk', text: 'Junk' };
  if (!numbers.size) return { name: 'none', text: 'Empty' };
  const right = rightShare(cluster, numbers);
  if (right === null) {
    if (!Number.isFinite(numbers.stability)) return { name: 'none', text: 'Unchecked' };
    if (numbers.stability >= 0.75) return { name: 'good', text: 'Stable' };
    return numbers.stability >= 0.5 ? { name: 'mixed', text: 'Partly stable' } : { name: 'check', text: 'Unstable' };
  }
  if (right >= 0.9) return { name: 'good', text: 'Good' };
  return right >= 0.7 ? { name: 'mixed', text: 'Mixed' } : { name: 'check', text: 'Look closely' };
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
  let isTableOpen = false;
  let nSizes = 16;

  const main = document.getElementById('main');
  main.append(h('section', { id: 'outcome', class: 'outcome', 'aria-label': 'What came out' },
    h('p', { class: 'eyebrow' }, 'What came out'),
    h('h1', null, data.title), lead, tiles,
    h('p', { class: 'note meaning' }, data.checked ? wordsOfAnswered()
      : data.isCalibrated ? 'Confidence is how likely a label is right, as the labels and their neighbours have it; a mistake that looks right to the features is missed.'
        : `Confidence ranks the ${nouns}: how far the base clustering, a classifier that didn’t see the ${noun} and its neighbours agree on its cluster. It is not the probability of being right.`),
    data.remarks.map((text) => h('p', { class: 'note remark' }, `Note: ${text}.`)),
    data.warnings.length > 0 && warningsList(5),
    h('div', { class: 'first-screen' },
      h('div', { class: 'card' }, h('div', { class: 'card-head' }, h('h2', null, 'Sizes of the clusters'),
        h('span', { class: 'legend' }, h('i', { class: 'key sure' }), 'not doubtful', h('i', { class: 'key doubtful' }), 'doubtful')), sizes),
      h('div', { class: 'card', id: 'changes' }, h('div', { class: 'card-head' }, h('h2', null, 'What RUC changed'),
        h('span', { class: 'legend' }, 'before → after')), flowList))));

  function updateLead() {
    const right = howRight();
    let changed = 0, placed = 0, doubtful = 0, byHand = 0, junk = 0;
    for (let row = 0; row < nRows; row++) {
      if (isJunk(row)) { junk += 1; continue; }
      byHand += isByHand(row);
      changed += isChanged(row);
      placed += isPlaced(row);
      doubtful += isDoubtful(row);
    }
    const nKept = nRows - junk;
    const filled = clusters().filter((cluster) => members(cluster).length && !current.junk.has(cluster));
    const named = filled.length;
    const searched = named === data.kCurve.n_clusters && data.kCurve.confidence;
    replaceChildren(lead, `${plural(nKept, noun)} in ${plural(named, 'cluster')}`, searched ? [', ', h('a', { href: '#number' }, 'a number that was searched')] : '', `${junk ? `, and ${number(junk)} thrown away as junk` : ''}. `,
      changed ? ['RUC moved ', h('b', { class: 'ink-change' }, number(changed)), ` of them (${percent(changed / nKept, 1)}) to another cluster`] : 'RUC left every one where it was',
      placed ? [', placed ', h('b', null, number(placed)), ' that had no label,'] : '',
      doubtful ? [...inDoubt(doubtful), '. ', doubtful > mostLookedThrough && nKept > mostLookedThrough && ['That is more than anybody looks through: ', h('a', { href: '#doubtful' }, `the review starts with the ${budget} that pay most`), '. ']] : ' and is in doubt about none. ',
      right.words);
    const shown = [
      [number(nKept), nouns, '#images'], [number(named), 'clusters', '#clusters'],
      [number(changed), 'changed', '#changes', changed && 'ink-change'], right.tile,
      [number(doubtful), 'doubtful', '#doubtful'], [number(data.skipped.length), 'skipped', data.skipped.length ? '#skipped' : null],
      byHand && [number(byHand), 'placed by you', '#images'],
    ].filter(Boolean);
    replaceChildren(tiles, shown.map(([value, label, target, ink]) => h(target ? 'a' : 'div', { class: 'stat', href: target }, h('span', { class: `stat-value ${ink || ''}` }, value), h('span', { class: 'stat-label' }, label))));
  }

  function inDoubt(doubtful) {
    const many = h('b', null, number(doubtful));
    if (!data.doubtOnlyRanks) return [' and is in doubt about ', many];
    return ['. The ', many, ` it is least sure of, a share that was set (${percent(data.reviewShare)}) and no finding, are called doubtful`];
  }

  function updateSizes() {
    const rows = clusters().map((cluster) => ({ cluster, ...stats(cluster) })).sort((a, b) => b.size - a.size || a.cluster - b.cluster);
    const empty = rows.filter((row) => !row.size).length;
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
    rows.length > nSizes && button(`Show all ${plural(rows.length - empty, 'cluster')}${empty ? `, and ${number(empty)} empty` : ''}`, () => { nSizes = Infinity; updateSizes(); }, { class: 'link more' }));
  }

  function updateFlows() {
    const all = flows();
    if (!all.length) {
      replaceChildren(flowList, h('p', { class: 'note' }, `Nothing moved: RUC agrees with the initial clustering on every ${noun}.`));
      return;
    }
    const most = all[0].rows.length;
    let opened = null;
    const listed = all.slice(0, nFlows);
    const elsewhere = all.find((flow) => flow.key === open && !listed.includes(flow)); // opened in the table
    const table = all.length > nFlows && flowTable(all, (flow) => { open = flow.key; keepingFocus(updateFlows); flowList.querySelector('[aria-expanded="true"]').focus(); });
    replaceChildren(flowList, [...(elsewhere ? [elsewhere] : []), ...listed].map((flow) => {
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
    table ? h('details', { class: 'all-flows', open: isTableOpen, on: { toggle: (event) => { isTableOpen = event.target.open; } } }, h('summary', null, `All ${number(all.length)} flows as a table`), table)
      : all.length > nFlows && button(`Show all ${number(all.length)} flows`, () => { nFlows = Infinity; updateFlows(); }, { class: 'link more' }));
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
