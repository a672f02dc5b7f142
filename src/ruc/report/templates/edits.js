// Edits: a list that is replayed on what Python wrote. Undo is replaying one less.

const storageKey = `ruc-edits-${data.run}`;
const listeners = [];
let edits = [];
let undone = [];
let isStored = true; // the browser may refuse to keep anything
const notStored = 'Not kept: download before closing.';
let current = null; // cluster, initial, names, junk, byHand, mergedInto
let membersOf = null;

function fresh() {
  return {
    cluster: base.cluster.slice(),
    initial: base.initial.slice(),
    nearest: base.nearest.slice(),
    names: data.names.slice(),
    junk: new Set(data.junk),
    byHand: base.flags.map((flags) => (flags >> 2) & 1),
    mergedInto: new Map(data.mergedInto),
  };
}

function perform(state, edit) {
  if (edit.op === 'rename') {
    state.names[edit.cluster] = edit.name;
  } else if (edit.op === 'junk') {
    if (edit.junk) state.junk.add(edit.cluster);
    else state.junk.delete(edit.cluster);
  } else if (edit.op === 'merge') {
    const [target, ...others] = edit.clusters;
    for (const other of others) {
      state.mergedInto.set(other, target);
      if (!state.names[target]) state.names[target] = state.names[other];
      state.names[other] = '';
      state.junk.delete(other);
    }
    const gone = new Set(others);
    for (const clusters of [state.cluster, state.initial, state.nearest]) {
      for (let row = 0; row < nRows; row++) if (gone.has(clusters[row])) clusters[row] = target;
    }
  } else if (edit.op === 'move') {
    while (state.names.length <= edit.cluster) state.names.push('');
    for (const row of edit.rows) {
      state.cluster[row] = edit.cluster;
      state.byHand[row] = 1;
    }
  }
}

function replay() {
  current = fresh();
  for (const edit of edits) perform(current, edit);
}

function changedNow(message) {
  membersOf = null;
  try {
    if (edits.length) localStorage.setItem(storageKey, JSON.stringify(edits));
    else localStorage.removeItem(storageKey);
    isStored = true;
  } catch (error) {
    isStored = false;
  }
  keepingFocus(() => { for (const listener of listeners) listener(); });
  announce(isStored ? message : `${message}. ${notStored}`);
}

addEventListener('beforeunload', (event) => { if (edits.length && !isStored) event.preventDefault(); });

function edit(change) {
  edits.push(change);
  undone = [];
  perform(current, change);
  changedNow(describe(change));
}

function undo() {
  if (!edits.length) return;
  undone.push(edits.pop());
  replay();
  changedNow(`Undone: ${describe(undone[undone.length - 1])}`);
}

function redo() {
  if (!undone.length) return;
  edits.push(undone.pop());
  perform(current, edits[edits.length - 1]);
  changedNow(`Done again: ${describe(edits[edits.length - 1])}`);
}

function forgetEdits() {
  edits = [];
  undone = [];
  replay();
  changedNow('All edits are gone');
}

function describe(change) {
  if (change.op === 'rename') return `Cluster ${change.cluster} is called “${change.name}”`;
  if (change.op === 'junk') return `Cluster ${change.cluster} is ${change.junk ? '' : 'no longer '}junk`;
  if (change.op === 'merge') return `Cluster ${change.clusters.slice(1).join(', ')} goes into ${change.clusters[0]}`;
  return `${plural(change.rows.length, noun)} to cluster ${change.cluster}`;
}

function editsFile() {
  const written = edits.map((change) => change.op === 'move'
    ? { op: 'move', file_names: change.rows.map((row) => data.fileNames[row]), cluster: change.cluster }
    : change);
  return JSON.stringify({ format: 'ruc-edits', version: 1, run: data.run, edits: written }, null, 1);
}

function storedEdits() {
  try {
    const stored = JSON.parse(localStorage.getItem(storageKey) || '[]');
    return Array.isArray(stored) ? stored : [];
  } catch (error) {
    return [];
  }
}

function members(cluster) {
  if (!membersOf) {
    membersOf = new Map();
    for (let row = 0; row < nRows; row++) {
      const own = current.cluster[row];
      if (!membersOf.has(own)) membersOf.set(own, []);
      membersOf.get(own).push(row);
    }
  }
  return membersOf.get(cluster) || [];
}

// Where a cluster is now: itself, or what it was merged into.
function whereNow(cluster) {
  let now = cluster;
  while (current.mergedInto.has(now)) now = current.mergedInto.get(now);
  return now;
}

// The second-best cluster of an image as { cluster, share }, or null where there is none to speak of.
function secondBest(row) {
  if (!base.second || !base.secondConfidence[row]) return null;
  const cluster = whereNow(base.second[row]);
  return cluster === current.cluster[row] ? null : { cluster, share: base.secondConfidence[row] / 10000 };
}

function clusters() {
  const all = [];
  for (let cluster = 0; cluster < current.names.length; cluster++) {
    if (!current.mergedInto.has(cluster)) all.push(cluster);
  }
  return all;
}

// An image that isn't where it was …
const isElsewhere = (row) => current.cluster[row] !== current.initial[row];
// … was placed by a person; or else RUC changed the cluster it had, or placed it where it had none.
const isByHand = (row) => current.byHand[row] === 1;
const isPlaced = (row) => current.initial[row] < 0 && !isByHand(row);
const isChanged = (row) => isElsewhere(row) && !isPlaced(row) && !isByHand(row);
const changes = [
  { value: 'changed', name: 'Changed by RUC', fits: isChanged, colour: '--change' },
  base.initial.some((cluster) => cluster < 0) && { value: 'placed', name: 'Placed by RUC', fits: isPlaced, colour: '--c2' },
  { value: 'byhand', name: 'Placed by you', fits: isByHand, colour: '--trust' },
].filter(Boolean);
const isDoubtful = (row) => base.doubt[row] >= data.doubtfulFrom * 10000 && !isByHand(row);
const isTrusted = (row) => isClean(row) || isByHand(row);

function clusterName(cluster) {
  if (cluster < 0) return 'unknown';
  return current.names[cluster] || `Cluster ${cluster}`;
}

function moveTo(rows, cluster) {
  edit({ op: 'move', rows: rows.slice(), cluster });
}

edits = storedEdits();
replay();
