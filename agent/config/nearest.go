package config

import "fmt"

// maxWord is how long a word may be to be a slip of the finger.
const maxWord = 64

// didYouMean names the candidate nearest to word, ready to be appended to a
// message, or "" when none is near.
func didYouMean(word string, candidates []string) string {
	if len(word) > maxWord {
		return ""
	}
	best, distance := "", 1+max(2, len(word)/3)
	for _, c := range candidates {
		if d := editDistance(word, c); d < distance {
			best, distance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// editDistance is how many characters must be inserted, deleted, replaced or
// swapped with their neighbour to make b of a. A hyphen counts as the
// underscore it is on a command line, and case does not count.
func editDistance(a, b string) int {
	a, b = fold(a), fold(b)
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

// fold maps ASCII letters to lower case and hyphens to underscores.
func fold(s string) string {
	out := []byte(s)
	for i, c := range out {
		switch {
		case c >= 'A' && c <= 'Z':
			out[i] = c + 'a' - 'A'
		case c == '-':
			out[i] = '_'
		}
	}
	return string(out)
}
