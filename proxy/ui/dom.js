// The only way that data gets into the page: as text. Nothing is parsed as HTML anywhere; names come from the
// configuration, reasons may hold what a peer has sent. Each setter writes only what has changed.

const byId = (id) => document.getElementById(id);

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setClass(node, name) {
  if (node.className !== name) node.className = name;
}

function setHidden(node, hidden) {
  if (node.hidden !== hidden) node.hidden = hidden;
}

function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

// The children of `parent` are those of `nodes`, in their order; what stands right is not moved, so that the
// focus stays where it is.
function setChildren(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.children]) {
    if (!wanted.has(child)) child.remove();
  }
  let place = parent.firstElementChild;
  for (const node of nodes) {
    if (node === place) {
      place = place.nextElementSibling;
    } else {
      parent.insertBefore(node, place);
    }
  }
}

// A table's cell; `label` is what a phone shows before it.
function makeCell(row, label, className) {
  const cell = make("td", className);
  cell.dataset.label = label;
  row.append(cell);
  return cell;
}

// A cell of lines: the first as it is, the others quiet.
function setLines(cell, lines) {
  if (!cell.firstElementChild) cell.append(make("div"));
  const box = cell.firstElementChild;
  const texts = lines.filter((line) => line);
  while (box.children.length > texts.length) box.lastElementChild.remove();
  texts.forEach((text, i) => {
    if (i === box.children.length) box.append(make("span", i === 0 ? "line" : "line quiet"));
    setText(box.children[i], text);
  });
}

// A cell with a number; a phone leaves it out when there is nothing to it.
function setNumber(cell, text) {
  setText(cell, text);
  cell.classList.toggle("none", text === "0" || text === NOTHING);
}

let toastTimer = 0;
function toast(text) {
  setText(byId("toast"), text);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => setText(byId("toast"), ""), 6000);
}

// Resolves to true when the operator says yes.
function confirmed(title, text, verb) {
  const dialog = byId("confirm");
  setText(byId("confirm-title"), title);
  setText(byId("confirm-text"), text);
  setText(byId("confirm-yes"), verb);
  return new Promise((resolve) => {
    const end = (answer) => {
      dialog.onclose = null;
      if (dialog.open) dialog.close();
      resolve(answer);
    };
    byId("confirm-yes").onclick = () => end(true);
    byId("confirm-no").onclick = () => end(false);
    // The event comes later: that of the dialog before may find this one open.
    dialog.onclose = () => {
      if (!dialog.open) end(false);
    };
    dialog.showModal();
  });
}
