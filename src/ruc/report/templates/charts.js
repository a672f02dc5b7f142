// Curves as SVG: training, and the number of clusters.

function scale(low, high, from, to) {
  const span = high - low || 1;
  return (value) => from + (value - low) / span * (to - from);
}

function ticks(low, high, count = 4) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => span / each <= count) || 10 * power;
  const found = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-9; value += step) found.push(Number(value.toPrecision(10)));
  return found;
}

// points: [x, y]; one series a chart, so that no legend is needed.
function lineChart(title, points, options = {}) {
  const [width, height, left, right, top, bottom] = [320, 196, 44, 12, 12, 40];
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const lowX = Math.min(...xs), highX = Math.max(...xs);
  let lowY = options.low ?? Math.min(...ys);
  let highY = options.high ?? Math.max(...ys);
  if (lowY === highY) { lowY -= Math.abs(lowY) * 0.1 || 0.5; highY += Math.abs(highY) * 0.1 || 0.5; }
  const toX = scale(lowX, highX, left, width - right);
  const toY = scale(lowY, highY, height - bottom, top);
  const last = points[points.length - 1];
  const marked = points.find(([x]) => x === options.mark);
  const resting = marked ? `K ${marked[0]}: ${tidy(marked[1])}` : tidy(last[1]);
  const readout = h('span', { class: 'readout' }, resting);
  const cursor = svg('g', { class: 'cursor', visibility: 'hidden' }, svg('line', { y1: top, y2: height - bottom }), svg('circle', { r: 4 }));
  const plot = svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `${title}: from ${tidy(points[0][1])} to ${tidy(last[1])}` },
    ticks(lowY, highY).map((value) => [
      svg('line', { class: 'gridline', x1: left, x2: width - right, y1: toY(value), y2: toY(value) }),
      svg('text', { class: 'tick', x: left - 6, y: toY(value) + 3.5, 'text-anchor': 'end' }, tidy(value))]),
    ticks(lowX, highX, 5).filter(Number.isInteger).map((value) => svg('text', { class: 'tick', x: toX(value), y: height - 22, 'text-anchor': 'middle' }, number(value))),
    svg('text', { class: 'tick', x: width - right, y: height - 6, 'text-anchor': 'end' }, `${options.x || 'epoch'} →`),
    options.mark !== undefined && svg('line', { class: 'marked', x1: toX(options.mark), x2: toX(options.mark), y1: top, y2: height - bottom }),
    svg('polyline', { class: 'curve', points: points.map(([x, y]) => `${toX(x).toFixed(1)},${toY(y).toFixed(1)}`).join(' ') }),
    points.length < 30 && points.map(([x, y]) => svg('circle', { class: 'dot', cx: toX(x), cy: toY(y), r: 2 })),
    cursor);
  plot.addEventListener('pointermove', (event) => {
    const box = plot.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * width;
    const near = points.reduce((a, b) => (Math.abs(toX(b[0]) - x) < Math.abs(toX(a[0]) - x) ? b : a));
    cursor.setAttribute('visibility', 'visible');
    cursor.firstChild.setAttribute('x1', toX(near[0]));
    cursor.firstChild.setAttribute('x2', toX(near[0]));
    cursor.lastChild.setAttribute('cx', toX(near[0]));
    cursor.lastChild.setAttribute('cy', toY(near[1]));
    readout.textContent = `${options.x || 'epoch'} ${tidy(near[0])}: ${tidy(near[1])}`;
  });
  plot.addEventListener('pointerleave', () => { cursor.setAttribute('visibility', 'hidden'); readout.textContent = resting; });
  return h('figure', { class: 'chart' }, h('figcaption', null, h('strong', null, title), readout, options.note && h('span', { class: 'note' }, options.note)), plot);
}

const curveNames = {
  clean_loss: `Loss on clean ${nouns}`, unclean_loss: `Loss on unclean ${nouns}`, smoothing_loss: 'Label smoothing loss',
  clean_share: `Share of trusted ${nouns}`, n_promoted: 'Became trusted', agreement: 'Agreement of the networks',
  promotion_threshold: 'Promotion threshold',
};
const hiddenCurves = new Set(['epoch', 'seconds', 'learning_rate']);

function buildTraining() {
  const rows = data.history;
  if (!rows.length) return;
  const known = Object.keys(curveNames);
  const keys = Object.keys(rows[0]).filter((key) => !hiddenCurves.has(key))
    .sort((a, b) => (known.indexOf(a) + 1 || 99) - (known.indexOf(b) + 1 || 99));
  const charts = keys.map((key) => {
    const points = rows.map((row, index) => [row.epoch ?? index, row[key]]).filter(([, y]) => Number.isFinite(y));
    return points.length > 1 && new Set(points.map(([, y]) => y)).size > 1 && lineChart(curveNames[key] || key.replaceAll('_', ' '), points);
  }).filter(Boolean);
  if (charts.length) section('training', 'Training', `The losses fall, and more ${nouns} become trusted. Where the two networks agree less and less, be careful with the result.`, h('details', null, h('summary', null, `${charts.length === 1 ? 'One curve' : `${charts.length} curves`} over ${plural(rows.length, 'epoch')}`), h('div', { class: 'charts' }, charts)));
}

const measureNames = { total: 'All together', eigengap: 'Leap of the eigenvalues', nearness: 'Nearness to the natural number' };

const mostWeighed = 3; // numbers of clusters that are shown with pictures
const mostFaces = 60; // clusters of one of them

// What so many groups would hold: the most typical image of each, and what makes a run of them.
function numberRow({ n_clusters: k, total, found_again: again }, curve, tree) {
  const isChosen = k === curve.n_clusters;
  const groups = tree && k <= tree.nLeaves ? tree.groups(k) : [];
  const faces = byKey(groups, (group) => -tree.members[group].length).slice(0, mostFaces).map((group) => {
    const [row] = byKey(tree.members[group].filter((one) => isPictured(one) || !data.hasImages), (one) => base.rank[one]);
    return row !== undefined && button(pictureOf(row), () => openDetail(row, tree.members[group]), { class: 'face-button', title: `${plural(tree.members[group].length, noun)}`, 'aria-label': `${plural(tree.members[group].length, noun)} like ${data.fileNames[row]}`, 'data-row': row });
  });
  const anew = data.command.replace(/ -o again\/$/, ` -k ${k} -o again/`);
  return h('article', { class: 'number-row' },
    h('h3', null, plural(k, 'cluster'), isChosen && h('span', { class: 'verdict good' }, 'chosen')),
    h('p', { class: 'note' }, `Score ${tidy(total)}; resamples agree ${Math.round(again * 100) ? `to ${percent(again)}` : 'no more than by chance'}.${groups.length > mostFaces ? ` The largest ${mostFaces} of them:` : ''}`),
    h('div', { class: 'faces' }, faces),
    !isChosen && groups.length > 0 && commandLine(`ruc cut ${data.runFolder} -k ${k} -o new/`),
    !isChosen && !groups.length && data.command && commandLine(anew));
}

function buildNumberOfClusters() {
  const curve = data.kCurve;
  if (!curve.candidates || curve.candidates.length < 2) return;
  const measures = Object.keys(curve.scores).sort((a, b) => (b === 'total') - (a === 'total'));
  const charts = measures.map((name) => {
    const points = curve.candidates.map((k, index) => [k, curve.scores[name][index]]).filter(([, score]) => Number.isFinite(score));
    return points.length > 1 && lineChart(measureNames[name] || name, points, { x: 'K', mark: curve.n_clusters });
  });
  const best = (curve.levels || []).slice(0, mostWeighed);
  const rows = h('div', { class: 'number-rows' });
  section('number', 'Number of clusters', `${curve.confidence || `${curve.n_clusters} were chosen`}. ${best.length > 1 ? `Look at what each number would hold, the most typical ${noun} of each cluster.` : ''}`, rows,
    h('details', null, h('summary', null, 'What the numbers were read off: higher is better, the dashed line is the choice'), h('div', { class: 'charts' }, charts)));
  whenNear(rows, () => {
    const tree = data.tree && readTree(data.tree);
    replaceChildren(rows, best.map((one) => numberRow(one, curve, tree)));
  });
}
