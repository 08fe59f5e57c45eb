// Texts whose contrast against their ground is below 4.5 to 1.
const rgb = (text) => (text.match(/[\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
  .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const ground = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const colour = rgb(getComputedStyle(e).backgroundColor);
    if ((colour[3] ?? 1) > 0) return colour;
  }
  return [255, 255, 255];
};
const faults = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const element = walk.currentNode.parentElement;
  if (!walk.currentNode.textContent.trim() || !element.checkVisibility() || element.closest("script, option, :disabled")) continue;
  const style = getComputedStyle(element);
  const [a, b] = [light(rgb(element.closest("svg") ? style.fill : style.color)), light(ground(element))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) faults.push(`${ratio.toFixed(2)}: ${walk.currentNode.textContent.trim()}`);
}
return faults;
