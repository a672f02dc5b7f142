// The nearest images of an image, and what they say about where it belongs.

function nearestOf(row) {
  return Array.from(base.neighbors.subarray(row * data.nNeighbors, (row + 1) * data.nNeighbors));
}

// Nearest images in the same cluster that nobody has decided about: what is true of one is likely to be true of all.
function lookAlikes(row) {
  return nearestOf(row).filter((other) => current.cluster[other] === current.cluster[row] && !isDecided(other));
}

// Small pictures of the nearest images, each with its cluster.
function nearestStrip(row, onClick, isMarked = () => false) {
  return h('div', { class: 'near' }, nearestOf(row).map((other) => h('div', { class: `near-one${isMarked(other) ? ' marked' : ''}` },
    button(picture(other, rowText(other)), () => onClick(other), { class: 'near-picture', title: rowText(other), tabindex: '-1', 'data-row': other }), chip(current.cluster[other]))));
}
