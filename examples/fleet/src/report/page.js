// Buttons play a cue's sounds one after the other; without scripts the players above remain.
"use strict";
let playing = null;
function play(ids) {
  if (playing) { playing.pause(); playing.onended = null; playing.currentTime = 0; }
  const [first, ...rest] = ids;
  playing = first ? document.getElementById(first) : null;
  if (!playing) return;
  playing.onended = () => play(rest);
  playing.play();
}
for (const button of document.querySelectorAll("button[data-play]")) {
  button.hidden = false;
  button.addEventListener("click", () => play(button.dataset.play.split(" ")));
}
