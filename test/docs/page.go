package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
)

// Page is one page in Markdown.
type Page struct {
	Path    string   // below the root, with slashes
	Links   []string // the targets of all links and pictures, as written
	Anchors []string // what may stand after # to get to a heading
	Spans   []string // code in the text, without the backquotes
	Blocks  []string // indented or fenced code, as it is
	Tables  [][]string
}

// Read reads README.md, CONTRIBUTING.md and all pages below docs.
func Read(root string) ([]Page, error) {
	paths := []string{"README.md", "CONTRIBUTING.md"}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".md" {
			path, err = filepath.Rel(root, path)
			paths = append(paths, filepath.ToSlash(path))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("pages of %s: %w", root, err)
	}
	pages := make([]Page, len(paths))
	for i, path := range paths {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
		if err != nil {
			return nil, fmt.Errorf("page: %w", err)
		}
		pages[i] = parse(path, string(text))
	}
	return pages, nil
}

var (
	span    = regexp.MustCompile("(?s)``(.+?)``|`([^`]+)`")
	link    = regexp.MustCompile(`\]\(\s*<?([^)\s>]+)>?[^)]*\)`)
	comment = regexp.MustCompile(`(?s)<!--.*?-->`)
	picture = regexp.MustCompile(`<(?:img|source)[^>]*\bsrc(?:set)?="([^"]+)"`)
)

// parse takes the small part of Markdown that the pages are written in.
func parse(path, text string) Page {
	p := Page{Path: path}
	prose, blocks := split(comment.ReplaceAllString(text, ""))
	p.Blocks = blocks
	seen := map[string]int{}
	var row []string
	for line := range strings.Lines(prose) {
		switch {
		case strings.HasPrefix(line, "#"):
			p.Anchors = append(p.Anchors, anchor(strings.TrimLeft(line, "#"), seen))
		case strings.HasPrefix(line, "|"):
			row = append(row, strings.TrimSpace(line))
			continue
		}
		if row != nil {
			p.Tables, row = append(p.Tables, row), nil
		}
	}
	if row != nil {
		p.Tables = append(p.Tables, row)
	}
	for _, m := range span.FindAllStringSubmatch(prose, -1) {
		p.Spans = append(p.Spans, strings.Join(strings.Fields(m[1]+m[2]), " "))
	}
	for _, m := range link.FindAllStringSubmatch(span.ReplaceAllString(prose, "code"), -1) {
		p.Links = append(p.Links, m[1])
	}
	for _, m := range picture.FindAllStringSubmatch(prose, -1) {
		p.Links = append(p.Links, m[1])
	}
	return p
}

// split takes fenced code out of a text.
func split(text string) (prose string, blocks []string) {
	var b, block strings.Builder
	inside := false
	for line := range strings.Lines(text) {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && inside:
			blocks, inside = append(blocks, block.String()), false
			block.Reset()
		case fence:
			inside = true
		case inside:
			block.WriteString(strings.TrimLeft(line, " "))
		default:
			b.WriteString(line)
		}
	}
	return b.String(), blocks
}

// Recipe returns the fenced code of a page that has the word after the language, as
// in "```sh linux". Tests run it as it stands there.
func Recipe(root, page, word string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(page)))
	if err != nil {
		return "", fmt.Errorf("recipe %s: %w", word, err)
	}
	m := regexp.MustCompile("(?s)```[a-z]+ " + regexp.QuoteMeta(word) + "\n(.*?)```").FindSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("%s has no recipe %q", page, word)
	}
	return string(m[1]), nil
}

// anchor is what GitHub makes of a heading; the second of a name gets -1.
func anchor(heading string, seen map[string]int) string {
	var b strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(heading)) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			b.WriteRune(r)
		}
	}
	name := b.String()
	n := seen[name]
	seen[name]++
	if n > 0 {
		return fmt.Sprintf("%s-%d", name, n)
	}
	return name
}

// Code is all that is written as code, line by line.
func (p Page) Code() []string {
	lines := append([]string(nil), p.Spans...)
	for _, block := range p.Blocks {
		for line := range strings.Lines(block) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}
