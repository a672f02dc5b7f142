// Twelve images at a time, the likeliest to be wrong, each with where it seems to belong; one key takes them all.

const letters = 'abcdefghijkl';
const mostChoices = 4; // clusters that an image goes through, before it is left open

function sheetReview(desk) {
  let places = []; // { row, choices: the guess first, at }

  const choice = ({ choices, at }) => choices[at]; // -1: left open

  function deal(rows) {
    const open = openClusters();
    const pulled = rows ? rows.map((row) => [row, pull(row, open)]) : likeliestElsewhere(openRows(), letters.length);
    places = pulled.map(([row, strength]) => {
      const [best, ...rest] = candidates(row);
      const own = current.cluster[row];
      const choices = best === undefined ? [own] : strength > 0 ? [best, own, ...rest] : [own, best, ...rest];
      return { row, choices: [...choices.slice(0, mostChoices), -1], at: 0 };
    });
  }

  // After a click Enter is to take them all; who steps through the images with Tab stays on this one.
  function turn(place, isClick) {
    place.at = (place.at + 1) % place.choices.length;
    if (isClick) draw();
    else keepingFocus(draw);
    if (isClick) desk.content.closest('dialog').focus();
  }

  function accept() {
    const targets = new Map();
    for (const place of places) {
      const target = choice(place);
      if (target >= 0) targets.set(target, [...(targets.get(target) || []), place.row]);
    }
    desk.commit(places.map(({ row }) => row), [...targets].map(([cluster, rows]) => ({ op: 'move', rows, cluster })));
  }

  function face(cluster) {
    const [row] = byKey(members(cluster).filter(isPictured), (one) => base.rank[one] + (isDoubtful(one) ? 65536 : 0));
    return row === undefined ? null : h('span', { class: 'sheet-face', 'aria-hidden': 'true' }, picture(row, ''));
  }

  function tileOf(place, index) {
    const own = current.cluster[place.row];
    const target = choice(place);
    const kind = target < 0 ? 'open' : target === own ? 'stays' : 'goes';
    const words = kind === 'open' ? 'left open' : kind === 'stays' ? `stays in ${clusterName(own)}` : `goes from ${clusterName(own)} to ${clusterName(target)}`;
    return h('li', { class: `sheet-tile ${kind}` }, button([
      h('span', { class: 'sheet-picture' }, picture(place.row, ''), h('kbd', null, letters[index])),
      h('span', { class: 'sheet-target' }, kind === 'open' ? h('span', { class: 'faint' }, 'left open')
        : kind === 'stays' ? [face(own), chip(own)] : [chip(own), h('span', { class: 'arrow' }, '→'), face(target), chip(target)])],
    (event) => turn(place, event.detail > 0), { class: 'sheet-open', 'data-row': place.row, 'data-target': target, 'data-action': `turn-${letters[index]}`, title: data.fileNames[place.row], 'aria-label': `${letters[index]}: ${data.fileNames[place.row]} ${words}` }));
  }

  function draw() {
    replaceChildren(desk.content, h('div', { class: 'sheet' }, desk.head(),
      h('h3', null, `Where do these ${nouns} belong?`),
      h('p', { class: 'note' }, 'These are the likeliest to be wrong. Below each is where it goes; its letter, or a click, sends it elsewhere.'),
      h('ol', { class: 'sheet-tiles' }, places.map(tileOf)),
      h('div', { class: 'review-actions' },
        button([places.length > 1 ? `All ${number(places.length)} are right ` : 'It is right ', h('kbd', null, 'Enter')], accept, { class: 'primary', 'data-action': 'accept' }),
        button([h('kbd', null, 'u'), ' undo'], desk.takeBack, { disabled: !edits.length }), button([h('kbd', null, 'Esc'), ' close'], desk.close, { class: 'quiet' }))));
  }

  return {
    show(rows) {
      deal(rows);
      if (places.length) draw();
      else reviewEnd(desk);
    },
    onKey(event) {
      const index = letters.indexOf(event.key.toLowerCase());
      if (event.key === 'Enter' && event.target.tagName !== 'BUTTON' && places.length) accept();
      else if (index >= 0 && event.key.length === 1 && places[index]) turn(places[index]);
      else return false;
      return true;
    },
  };
}
