// The nearest images of an image, and what they say about where it belongs.

function nearestOf(row) {
  return Array.from(base.neighbors.subarray(row * data.nNeighbors, (row + 1) * data.nNeighbors));
}

// Nearest images in the same cluster that nobody has decided about: what is true of one is likely to be true of all.
function lookAlikes(row) {
  return nearestOf(row).filter((other) => current.cluster[other] === current.cluster[row] && !isDecided(other));
}

const placedWeighs = 3; // nearest images, where a person placed one

// Where an image may belong, the likeliest first, its own cluster left out: by its probabilities and its nearest images.
function candidates(row) {
  const votes = new Map();
  const add = (cluster, weight) => { if (cluster !== current.cluster[row] && !current.junk.has(cluster)) votes.set(cluster, (votes.get(cluster) || 0) + weight); };
  if (current.others) for (let at = row * nOthers; at < (row + 1) * nOthers; at++) if (current.shares[at] > 0) add(whereNow(current.others[at]), current.shares[at]);
  for (const other of nearestOf(row)) add(current.cluster[other], (isByHand(other) ? placedWeighs : 1) / Math.max(1, data.nNeighbors));
  const rest = clusters().filter((cluster) => !votes.has(cluster) && members(cluster).length);
  for (const cluster of byKey(rest, (one) => -members(one).length)) add(cluster, 0);
  return [...votes].sort((a, b) => b[1] - a[1] || a[0] - b[0]).map(([cluster]) => cluster);
}

// Small pictures of the nearest images, each with its cluster.
function nearestStrip(row, onClick, isMarked = () => false) {
  return h('div', { class: 'near' }, nearestOf(row).map((other) => h('div', { class: `near-one${isMarked(other) ? ' marked' : ''}` },
    button(picture(other, rowText(other)), () => onClick(other), { class: 'near-picture', title: rowText(other), tabindex: '-1', 'data-row': other }), chip(current.cluster[other]))));
}
