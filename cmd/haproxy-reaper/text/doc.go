// Package text says a report in words for people: the table, the sentences under
// it, the advice, the line of systemctl status. It also renders the JSON document.
//
// The package knows reports and no settings. What a process chose itself is escaped
// before it is shown.
package text
