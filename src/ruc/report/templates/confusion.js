// Which classes are in which clusters: all of them as a table, or the largest confusions where there are too many.

const mostTabled = 60; // classes or clusters
const mostListed = 30;

function confusionFigure(title, scores, classes) {
  const columns = scores.confusion_clusters || scores.confusion[0].map((_, index) => index);
  const isTabled = Math.max(classes.length, columns.length) <= mostTabled;
  const note = isTabled ? 'Each row is a true class; the stronger the colour, the larger the share of it in that cluster.'
    : `${number(classes.length)} classes and ${number(columns.length)} clusters are too many for a table: what is most often in a cluster that stands for another class.`;
  const frame = h('div', { class: 'table-frame' }, isTabled && confusionTable(scores, classes, columns));
  if (!isTabled) whenNear(frame, () => frame.append(confusionList(scores, classes, columns)));
  return h('figure', { class: 'chart wide' }, h('figcaption', null, h('strong', null, title), h('span', { class: 'note' }, note)), frame);
}

function confusionTable(scores, classes, columns) {
  return h('table', { class: 'confusion' },
    h('thead', null, h('tr', null, h('th', { scope: 'col' }, 'class'), columns.map((cluster) => h('th', { scope: 'col' }, cluster < 0 ? 'none' : chip(cluster))))),
    h('tbody', null, scores.confusion.map((counts, index) => {
      const total = sum(counts) || 1;
      return h('tr', null, h('th', { scope: 'row' }, classes[index]), counts.map((count) => h('td', { style: { '--share': `${Math.round(count / total * 75)}%` } }, count ? number(count) : h('span', { class: 'faint' }, '·'))));
    })));
}

function confusionList(scores, classes, columns) {
  const found = largestConfusions(scores, classes, columns);
  if (!found.length) return emptyState('No confusion', 'Each cluster holds one class.');
  return h('table', { class: 'confusions' },
    h('thead', null, h('tr', null, ['class', 'cluster', 'stands for', nouns, 'share of class'].map((head) => h('th', { scope: 'col' }, head)))),
    h('tbody', null, found.map(({ name, cluster, standsFor, count, share }) => h('tr', null,
      h('th', { scope: 'row' }, name), h('td', null, cluster < 0 ? 'none' : chip(cluster)), h('td', null, standsFor ?? 'none'),
      h('td', null, number(count)), h('td', null, percent(share))))));
}

function largestConfusions(scores, classes, columns) {
  const standsFor = new Map(scores.clusters.map((one) => [one.cluster, one.matched_class]));
  const found = [];
  scores.confusion.forEach((counts, index) => {
    const total = sum(counts);
    counts.forEach((count, column) => {
      const cluster = columns[column];
      if (count && standsFor.get(cluster) !== classes[index]) found.push({ name: classes[index], cluster, standsFor: standsFor.get(cluster), count, share: count / total });
    });
  });
  return found.sort((a, b) => b.count - a.count || b.share - a.share).slice(0, mostListed);
}
