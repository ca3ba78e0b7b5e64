// Without cookies no server can read who is buying, so the page says it: DataFast's script has the
// id once its first event is answered. A press of the button before that says nothing.
(function hand() {
  const field = document.querySelector("#page-visitor")
  if (!field) return
  field.form.addEventListener("submit", () => {
    field.value = (window.datafast && window.datafast.visitorId) || ""
  })
})()
