// The buttons whose handlers the theme writes into attributes, which the policy of the page forbids (book/_ext/security.py).
document.addEventListener('click', event => {
  const press = event.target.closest?.('[data-press]')?.dataset.press;
  if (press === 'print') window.print();
  if (press === 'full-screen') window.toggleFullScreen();
});
