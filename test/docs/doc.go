// Package docs reads the project's pages, so that tests can compare what they
// say with what there is: links, anchors, options, commands, files. Its own
// tests do that for all but the program's commands, which cmd does.
package docs
