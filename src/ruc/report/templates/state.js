// The clusters while edits are performed on them; each edit does here what `ruc.edits` does to the run.

function fresh() {
  return {
    cluster: base.cluster.slice(),
    initial: base.initial.slice(),
    nearest: base.nearest.slice(),
    confidence: base.confidence.slice(),
    doubt: base.doubt.slice(),
    others: base.others ? base.others.slice() : null, // the next best clusters of each row, and how probable each is
    shares: base.otherShares ? base.otherShares.slice() : null,
    names: data.names.slice(),
    junk: new Set(data.junk),
    byHand: base.flags.map((flags) => (flags >> 2) & 1),
    mergedInto: new Map(data.mergedInto),
  };
}

const performers = { rename: performRename, junk: performJunk, merge: performMerge, move: performMove, split: performSplit };

function perform(state, edit) {
  performers[edit.op](state, edit);
}

function performRename(state, { cluster, name }) {
  state.names[cluster] = name;
}

function performJunk(state, { cluster, junk }) {
  if (junk) state.junk.add(cluster);
  else state.junk.delete(cluster);
}

function performMerge(state, { clusters: [target, ...others] }) {
  for (const other of others) {
    state.mergedInto.set(other, target);
    if (!state.names[target]) state.names[target] = state.names[other];
    state.names[other] = '';
    state.junk.delete(other);
  }
  const merged = new Set([target, ...others]);
  for (let row = 0; row < nRows; row++) addUpShares(state, row, merged, target);
  for (const clusters of [state.cluster, state.initial, state.nearest]) {
    for (let row = 0; row < nRows; row++) if (merged.has(clusters[row])) clusters[row] = target;
  }
}

// What the merged clusters had of a row's probability is the target's now.
function addUpShares(state, row, merged, target) {
  if (!state.others) return;
  const isInside = merged.has(state.cluster[row]);
  let first = -1;
  for (let at = row * nOthers; at < (row + 1) * nOthers; at++) {
    if (!merged.has(state.others[at])) continue;
    if (isInside && !state.byHand[row]) state.confidence[row] = Math.min(1, state.confidence[row] + state.shares[at]);
    else if (!isInside && first >= 0) state.shares[first] += state.shares[at];
    if (isInside || first >= 0) state.shares[at] = 0;
    else { first = at; state.others[at] = target; }
  }
}

function performMove(state, { rows, cluster }) {
  openUpTo(state, cluster);
  for (const row of rows) {
    state.cluster[row] = cluster;
    state.byHand[row] = 1;
    state.confidence[row] = 1;
    if (state.shares) state.shares.fill(0, row * nOthers, (row + 1) * nOthers);
  }
}

// The confidence is divided as the nearest images are: of a small part as many of them vote as it could have.
function performSplit(state, { cluster, parts }) {
  const firstNew = state.names.length;
  openUpTo(state, firstNew + parts.length - 1);
  const partOf = new Int32Array(nRows).fill(-1);
  for (let row = 0; row < nRows; row++) if (state.cluster[row] === cluster) partOf[row] = 0;
  parts.forEach((rows, at) => { for (const row of rows) partOf[row] = at + 1; });
  const sizes = new Array(parts.length + 1).fill(0);
  for (const part of partOf) if (part >= 0) sizes[part] += 1;
  const nVotes = Math.min(data.nNeighbors, Math.max(1, Math.min(...sizes) - 1));
  for (let row = 0; row < nRows; row++) {
    const own = partOf[row];
    if (own < 0) continue;
    const votes = new Array(sizes.length).fill(0);
    votes[own] = 1;
    for (let at = row * data.nNeighbors; at < row * data.nNeighbors + nVotes; at++) {
      const part = partOf[base.neighbors[at]];
      if (part >= 0) votes[part] += 1;
    }
    const total = votes.reduce((a, b) => a + b, 0);
    const whole = state.confidence[row];
    state.confidence[row] = whole * votes[own] / total;
    votes.forEach((count, part) => { if (part !== own && count) addOther(state, row, part ? firstNew + part - 1 : cluster, whole * count / total); });
    if (own) state.cluster[row] = firstNew + own - 1;
    for (const clusters of [state.initial, state.nearest]) if (own && clusters[row] === cluster) clusters[row] = firstNew + own - 1;
  }
}

// In the place of the least probable of the row's other clusters.
function addOther(state, row, cluster, share) {
  if (!state.others) return;
  let least = row * nOthers;
  for (let at = least; at < (row + 1) * nOthers; at++) if (state.shares[at] < state.shares[least]) least = at;
  if (state.shares[least] >= share) return;
  state.others[least] = cluster;
  state.shares[least] = share;
}

function openUpTo(state, cluster) {
  while (state.names.length <= cluster) state.names.push('');
}
