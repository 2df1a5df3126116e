package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"neutron-ndp-proxy-agent/ndsend"
)

const (
	// stdinMark among the addresses stands for those on standard input.
	stdinMark = "-"
	// maxLine bounds a line of standard input, in bytes.
	maxLine = 4096
	// maxAddresses bounds how many are taken.
	maxAddresses = 1 << 20
)

var (
	errNoAddress = errors.New("standard input names no address")
	errUTF16     = errors.New("standard input is UTF-16, by its byte order mark: make it UTF-8 or ASCII")
)

// item is an address as it was given: a target, or the reason why not.
type item struct {
	text   string
	target netip.Addr
	err    error
}

// collect reads the addresses of the command line and, for [stdinMark], those
// of standard input, in their order.
func collect(texts []string, stdin io.Reader) ([]item, error) {
	var items []item
	for _, text := range texts {
		if text != stdinMark {
			items = append(items, newItem(text, ""))
			continue
		}
		var err error
		if items, err = appendList(items, stdin); err != nil {
			return nil, err
		}
	}
	return items, nil
}

func newItem(text, where string) item {
	target, err := ndsend.ParseTarget(text)
	if err != nil {
		err = fmt.Errorf("%s%w", where, err)
	}
	return item{text: text, target: target, err: err}
}

// appendList reads a list: addresses apart by white space, and comments from #
// to the end of the line. A byte order mark, as editors put it before UTF-8, is
// no part of an address.
func appendList(items []item, r io.Reader) ([]item, error) {
	reader := bufio.NewReaderSize(r, maxLine+len("\n"))
	for number := 1; ; number++ {
		line, err := reader.ReadSlice('\n')
		where := fmt.Sprintf("standard input, line %d: ", number)
		if errors.Is(err, bufio.ErrBufferFull) {
			items = append(items, item{text: "", err: fmt.Errorf("%slonger than %d bytes, left out", where, maxLine)})
			line, err = nil, skipLine(reader)
		}
		if number == 1 && (bytes.HasPrefix(line, []byte("\xff\xfe")) || bytes.HasPrefix(line, []byte("\xfe\xff"))) {
			return append(items, item{err: errUTF16}), nil
		}
		// Of each line: several files may have been put together.
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
		words, _, _ := strings.Cut(string(line), "#")
		for word := range strings.FieldsSeq(words) {
			items = append(items, newItem(word, where))
		}
		switch {
		case len(items) > maxAddresses:
			return nil, fmt.Errorf("standard input names more than %d addresses: split the list", maxAddresses)
		case errors.Is(err, io.EOF):
			return items, nil
		case err != nil:
			return nil, fmt.Errorf("standard input: %w", err)
		}
	}
}

// skipLine reads up to the end of the line.
func skipLine(reader *bufio.Reader) error {
	for {
		if _, err := reader.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// targets are those of the items that are some.
func targets(items []item) []netip.Addr {
	all := make([]netip.Addr, 0, len(items))
	for _, i := range items {
		if i.err == nil {
			all = append(all, i.target)
		}
	}
	return slices.Clip(all)
}
