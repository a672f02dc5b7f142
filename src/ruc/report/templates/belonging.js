// Where an image seems to belong: by the centres of the clusters and its nearest images. What a person placed counts for
// more in both, so that each answer mends the guesses about the rest (experiments/LOG.md).

const placedPulls = 4; // images: what a placed one counts for in the centre of its cluster
const placedWeighs = 3; // images: what a placed one counts for among the nearest
const mostGuessed = 5000; // images about which it is worth guessing anew after each answer

// Unit vectors, nDirections a cluster; zeros where it has no image.
function centres() {
  if (current.centres) return current.centres;
  const found = new Float64Array(current.names.length * nDirections);
  for (let row = 0; row < nRows; row++) {
    const cluster = current.cluster[row];
    if (cluster < 0) continue;
    const pull = isByHand(row) ? placedPulls : 1;
    for (let at = 0; at < nDirections; at++) found[cluster * nDirections + at] += pull * base.directions[row * nDirections + at];
  }
  for (let start = 0; start < found.length; start += nDirections) {
    let length = 0;
    for (let at = start; at < start + nDirections; at++) length += found[at] ** 2;
    for (let at = start; at < start + nDirections; at++) found[at] /= Math.sqrt(length) || 1;
  }
  current.centres = found;
  return found;
}

function closeness(row, cluster) {
  const found = centres();
  let sum = 0;
  for (let at = 0; at < nDirections; at++) sum += base.directions[row * nDirections + at] * found[cluster * nDirections + at];
  return sum;
}

// How far images usually are nearer to their own centre than to any other: what all nearest images together count for.
let usualMargin = 0;

function openClusters() {
  return clusters().filter((cluster) => !current.junk.has(cluster) && members(cluster).length);
}

function findUsualMargin() {
  const open = openClusters();
  let sum = 0;
  let count = 0;
  for (let row = 0; row < nRows; row += Math.ceil(nRows / mostGuessed)) {
    const own = current.cluster[row];
    const best = Math.max(...open.filter((cluster) => cluster !== own).map((cluster) => closeness(row, cluster)));
    if (own < 0 || !Number.isFinite(best)) continue;
    sum += Math.abs(closeness(row, own) - best);
    count += 1;
  }
  return sum / count || 1;
}

// How much speaks for each cluster, -Infinity for those that aren't open. Without directions the probabilities stand in for
// the centres.
function evidence(row, open) {
  const found = new Float64Array(current.names.length).fill(-Infinity);
  for (const cluster of open) found[cluster] = 0;
  const add = (cluster, weight) => { if (cluster >= 0) found[cluster] += weight; };
  if (nDirections) {
    usualMargin = usualMargin || findUsualMargin();
    for (const cluster of open) found[cluster] += closeness(row, cluster) / usualMargin;
  } else {
    add(current.cluster[row], confidence(row));
    if (current.others) for (let at = row * nOthers; at < (row + 1) * nOthers; at++) add(whereNow(current.others[at]), current.shares[at]);
  }
  for (let at = row * data.nNeighbors; at < (row + 1) * data.nNeighbors; at++) {
    const other = base.neighbors[at];
    add(current.cluster[other], (isByHand(other) ? placedWeighs : 1) / data.nNeighbors);
  }
  return found;
}

// Where an image may belong, the likeliest first, its own cluster left out.
function candidates(row) {
  const open = openClusters();
  const found = evidence(row, open);
  return open.filter((cluster) => cluster !== current.cluster[row]).sort((a, b) => found[b] - found[a] || a - b);
}

// How much more speaks for another cluster than for its own.
function pull(row, open) {
  const found = evidence(row, open);
  const own = current.cluster[row];
  let best = -Infinity;
  for (const cluster of open) if (cluster !== own && found[cluster] > best) best = found[cluster];
  return own < 0 ? best : best - found[own];
}

let guessed = null; // rows, chosen once

// The rows that are the likeliest to belong elsewhere, with how much speaks for it.
function likeliestElsewhere(rows, count) {
  const open = openClusters();
  const strongest = (some) => some.map((row) => [row, pull(row, open)]).sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  if (!guessed) guessed = new Set(nRows <= mostGuessed ? rows : strongest(rows).slice(0, mostGuessed).map(([row]) => row));
  const known = rows.filter((row) => guessed.has(row));
  return strongest(known.length ? known : rows).slice(0, count);
}
