// What `ruc evaluate` found, before and after refining, and what it measured under attack and corruption.

function reliabilityChart(title, reliability) {
  const [width, height, pad] = [320, 196, 40];
  const to = scale(0, 1, pad, width - 12);
  const toY = scale(0, 1, height - pad, 12);
  const bins = reliability.count.map((count, index) => ({ count, confidence: reliability.confidence[index], accuracy: reliability.accuracy[index], lower: reliability.lower[index], upper: reliability.upper[index] })).filter((bin) => bin.count > 0);
  return h('figure', { class: 'chart' }, h('figcaption', null, h('strong', null, title), h('span', { class: 'note' }, `On the line, a confidence of 90 % is right nine times in ten; below it, the result is over-confident. Pale bars stand for fewer than ten ${nouns}.`)),
    svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `Accuracy by confidence: ${bins.map((bin) => `${percent(bin.confidence)} sure, ${percent(bin.accuracy)} right`).join('; ')}` },
      ticks(0, 1, 5).map((value) => [
        svg('line', { class: 'gridline', x1: pad, x2: width - 12, y1: toY(value), y2: toY(value) }),
        svg('text', { class: 'tick', x: pad - 6, y: toY(value) + 3.5, 'text-anchor': 'end' }, percent(value)),
        svg('text', { class: 'tick', x: to(value), y: height - pad + 16, 'text-anchor': 'middle' }, percent(value))]),
      svg('text', { class: 'tick', x: (pad + width) / 2, y: height - 6, 'text-anchor': 'middle' }, 'confidence → share that is right ↑'),
      bins.map((bin) => svg('rect', { class: `bin${bin.count < 10 ? ' few' : ''}`, x: to(bin.lower) + 1, width: Math.max(1, to(bin.upper) - to(bin.lower) - 2), y: toY(bin.accuracy), height: toY(0) - toY(bin.accuracy) }, svg('title', null, `${percent(bin.confidence, 1)} sure, ${percent(bin.accuracy, 1)} right, ${plural(bin.count, noun)}`))),
      svg('line', { class: 'diagonal', x1: to(0), y1: toY(0), x2: to(1), y2: toY(1) }),
      bins.map((bin) => svg('circle', { class: `dot${bin.count < 10 ? ' few' : ''}`, cx: to(bin.confidence), cy: toY(bin.accuracy), r: 3 }))));
}

// How many right and wrong ones have which confidence. Logarithmic, or else the few wrong ones could not be seen.
function confidenceChart(title, reliability) {
  const [width, height, left, bottom, top] = [320, 196, 44, 40, 12];
  const bins = reliability.count.map((count, index) => ({ lower: reliability.lower[index], upper: reliability.upper[index], right: Math.round(count * (reliability.accuracy[index] || 0)), count })).filter((bin) => bin.count > 0);
  const most = Math.max(...bins.map((bin) => bin.count));
  const toX = scale(0, 1, left, width - 12);
  const toY = scale(Math.log10(0.7), Math.log10(most * 1.2), height - bottom, top);
  const bar = (kind, images, from, to) => images > 0 && svg('rect', { class: kind, x: toX(from), width: Math.max(1, toX(to) - toX(from)), y: toY(Math.log10(images)), height: height - bottom - toY(Math.log10(images)) });
  const powers = Array.from({ length: Math.floor(Math.log10(most)) + 1 }, (_, power) => 10 ** power);
  return h('figure', { class: 'chart' }, h('figcaption', null, h('strong', null, title), h('span', { class: 'legend' }, h('span', { class: 'key right' }), 'right', h('span', { class: 'key wrong' }), 'wrong')),
    svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `Number by confidence: ${bins.map((bin) => `${percent(bin.lower)} to ${percent(bin.upper)}: ${number(bin.right)} right, ${number(bin.count - bin.right)} wrong`).join('; ')}` },
      powers.map((images) => [
        svg('line', { class: 'gridline', x1: left, x2: width - 12, y1: toY(Math.log10(images)), y2: toY(Math.log10(images)) }),
        svg('text', { class: 'tick', x: left - 6, y: toY(Math.log10(images)) + 3.5, 'text-anchor': 'end' }, number(images))]),
      ticks(0, 1, 5).map((value) => svg('text', { class: 'tick', x: toX(value), y: height - 22, 'text-anchor': 'middle' }, percent(value))),
      svg('text', { class: 'tick', x: width - 12, y: height - 6, 'text-anchor': 'end' }, `confidence →, ${nouns} ↑`),
      bins.map((bin) => {
        const inset = (bin.upper - bin.lower) * 0.06;
        const middle = (bin.lower + bin.upper) / 2;
        return svg('g', null, svg('title', null, `${percent(bin.lower)} to ${percent(bin.upper)} sure: ${number(bin.right)} right, ${number(bin.count - bin.right)} wrong`),
          bar('right', bin.right, bin.lower + inset, middle), bar('wrong', bin.count - bin.right, middle, bin.upper - inset));
      })));
}

// lines: [name, points] of [x, y]; what is called "before" is dashed.
function linesChart(title, lines, options = {}) {
  const [width, height, left, right, top, bottom] = [320, 196, 44, 12, 12, 40];
  const kept = lines.map(([name, points]) => [name, points.filter(([, y]) => Number.isFinite(y))]).filter(([, points]) => points.length > 1);
  if (!kept.length) return null;
  const all = kept.flatMap(([, points]) => points);
  const xs = all.map(([x]) => x);
  const ys = all.map(([, y]) => y);
  const toX = scale(options.from ?? Math.min(...xs), Math.max(...xs), left, width - right);
  const lowY = options.low ?? Math.max(0, Math.min(...ys) - 0.05);
  const toY = scale(lowY, options.high ?? 1, height - bottom, top);
  const style = (index) => `line-${index}`;
  return h('figure', { class: 'chart' },
    h('figcaption', null, h('strong', null, title), h('span', { class: 'legend' }, kept.map(([name], index) => [svg('svg', { class: 'line-key', viewBox: '0 0 22 8' }, svg('line', { class: `curve ${style(index)}`, x1: 1, x2: 21, y1: 4, y2: 4 })), name])), options.note && h('span', { class: 'note' }, options.note)),
    svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `${title}. ${kept.map(([name, points]) => `${name}: from ${percent(points[0][1], 1)} to ${percent(points[points.length - 1][1], 1)}`).join('; ')}` },
      ticks(lowY, options.high ?? 1).map((value) => [
        svg('line', { class: 'gridline', x1: left, x2: width - right, y1: toY(value), y2: toY(value) }),
        svg('text', { class: 'tick', x: left - 6, y: toY(value) + 3.5, 'text-anchor': 'end' }, percent(value))]),
      ticks(Math.min(...xs), Math.max(...xs), 5).filter((value) => !options.whole || Number.isInteger(value)).map((value) => svg('text', { class: 'tick', x: toX(value), y: height - 22, 'text-anchor': 'middle' }, options.shares ? percent(value) : tidy(value))),
      svg('text', { class: 'tick', x: width - right, y: height - 6, 'text-anchor': 'end' }, `${options.x} →`),
      kept.map(([name, points], index) => [
        svg('polyline', { class: `curve ${style(index)}`, points: points.map(([x, y]) => `${toX(x).toFixed(1)},${toY(y).toFixed(1)}`).join(' ') }),
        points.length < 30 && points.map(([x, y]) => svg('circle', { class: `dot ${style(index)}`, cx: toX(x), cy: toY(y), r: 2.5 }, svg('title', null, `${name}, ${options.shares ? percent(x) : tidy(x)}: ${percent(y, 1)}`)))])));
}

const cleanNames = { precision: 'precision', recall: 'recall', f1: 'F1' };

function cleanSetChart(byEpoch) {
  const lines = Object.entries(cleanNames).map(([key, name]) => [name, byEpoch.map((scores, epoch) => [epoch, scores[key]])]);
  return linesChart('Trusted labels', lines, { x: 'epochs trained', whole: true, note: 'Precision: how many of the trusted labels are right. Recall: how many of the right ones are trusted.' });
}

// found: attacks or corruptions; one chart for each kind of them, with a line for each model.
function robustnessCharts(found, kind, toLine, options) {
  return [...new Set(found.results.map((one) => one[kind]))].map((each) => {
    const results = found.results.filter((one) => one[kind] === each);
    const lines = [['refined', 'after'], ['base', 'before']].filter(([model]) => model in found.clean_accuracy).map(([model, name]) => [name, toLine(results, model)]);
    return linesChart(options.title(each), lines, options);
  });
}

function attackCharts(attacks) {
  const toLine = (results, model) => [[0, 0], ...results.map((one) => [one.epsilon, one.drop[model]])];
  return robustnessCharts(attacks, 'attack', toLine, { title: (attack) => `Accuracy lost under ${attack.toUpperCase()}`, x: 'ε, of pixels in [0, 1]', low: 0 });
}

function corruptionCharts(corruptions) {
  const toLine = (results, model) => [[0, corruptions.clean_accuracy[model]], ...results.map((one) => [one.strength, one.accuracy[model]])];
  return robustnessCharts(corruptions, 'corruption', toLine, { title: (corruption) => `Accuracy under ${corruption === 'jpeg' ? 'JPEG' : corruption}`, x: 'strength', whole: true, low: 0 });
}

const scoreNames = { accuracy: 'accuracy', nmi: 'NMI', ari: 'ARI', purity: 'purity', ece: 'calibration error' };

function buildEvaluation() {
  const found = data.metrics;
  const refined = found && found.refined;
  if (!refined || !refined.numbers) return;
  const before = found.base && found.base.numbers;
  const tiles = Object.entries(scoreNames).filter(([key]) => refined.numbers[key]).map(([key, name]) => {
    const { value, low, high } = refined.numbers[key];
    return h('div', { class: 'stat' }, h('span', { class: 'stat-value' }, percent(value, 1)), h('span', { class: 'stat-label' }, name),
      h('span', { class: 'note' }, `${percent(low, 1)} to ${percent(high, 1)}`, before && before[key] && before[key].value !== value && `, before ${percent(before[key].value, 1)}`));
  });
  const changes = found.changes;
  const after = found.base ? (title) => `${title}, after` : (title) => title;
  // what is the same before and after is shown once
  const both = (draw, part) => {
    const isSame = found.base && JSON.stringify(part(found.base)) === JSON.stringify(part(refined));
    return isSame ? [draw(refined, (title) => `${title}, before and after`)] : [draw(refined, after), found.base && draw(found.base, (title) => `${title}, before`)];
  };
  const coverage = [['after', refined], ['before', found.base]].filter(([, scores]) => scores && scores.coverage).map(([name, scores]) => [name, scores.coverage[0].map((share, index) => [share, scores.coverage[1][index]])]);
  section('evaluation', 'Against the truth', `Measured on ${plural(found.n_with_truth, noun)} whose class is known. Nothing of it was used to make the clusters.`,
    h('div', { class: 'tiles' }, tiles),
    changes && h('p', { class: 'lead' }, `Of ${number(changes.n_changed)} changed labels, ${number(changes.n_mended)} were mended, ${number(changes.n_broken)} broken, and ${number(changes.n_still_wrong)} wrong before and after.`,
      changes.n_placed > 0 && ` Of ${number(changes.n_placed)} that had no label, ${number(changes.n_placed_right)} were placed right.`),
    h('div', { class: 'charts' },
      both((scores, title) => scores.reliability && reliabilityChart(title('Reliability'), scores.reliability), (scores) => scores.reliability),
      linesChart('Accuracy against the share kept', coverage, { x: `share of ${nouns} kept, surest first`, shares: true }),
      both((scores, title) => scores.reliability && confidenceChart(title('Confidence'), scores.reliability), (scores) => scores.reliability),
      found.clean_by_epoch && found.clean_by_epoch.length > 1 && cleanSetChart(found.clean_by_epoch),
      found.attacks && attackCharts(found.attacks),
      found.corruptions && corruptionCharts(found.corruptions),
      both((scores, title) => scores.confusion && confusionFigure(title('Classes and clusters'), scores, found.classes), (scores) => [scores.confusion, scores.confusion_clusters])),
    (found.attacks || found.corruptions) && h('p', { class: 'note' }, [found.attacks, found.corruptions].filter(Boolean).map((one, index) => `${index ? 'Corruptions' : found.attacks ? 'Attacks' : 'Corruptions'}: ${plural(one.n_images, 'image')}; ${[one.base, one.scale].filter(Boolean).join('; ')}. `)));
}
