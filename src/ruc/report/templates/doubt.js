// How likely each cluster is wrong, for ranking; as `ruc.marks.doubt_of` computes it.

const nVoters = 10; // nearest images that count

// Anew where an image, its confidence, or one of its nearest images moved since Python wrote the page.
function updateDoubt(state) {
  state.centres = null; // see belonging.js
  const nCounted = Math.min(nVoters, data.nNeighbors);
  for (let row = 0; row < nRows; row++) {
    const start = row * data.nNeighbors;
    let isTouched = state.cluster[row] !== base.cluster[row] || state.confidence[row] !== base.confidence[row];
    let nAgreeing = 0;
    for (let at = start; at < start + nCounted; at++) {
      const other = base.neighbors[at];
      isTouched = isTouched || state.cluster[other] !== base.cluster[other];
      nAgreeing += state.cluster[other] === state.cluster[row];
    }
    const agreement = nCounted ? nAgreeing / nCounted : 1;
    state.doubt[row] = state.byHand[row] ? 0 : isTouched ? 1 - state.confidence[row] * (0.5 + 0.5 * agreement) : base.doubt[row];
  }
}
