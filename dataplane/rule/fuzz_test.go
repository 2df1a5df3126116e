package rule

import "testing"

func FuzzDecode(f *testing.F) {
	for _, r := range []Rule{
		{Priority: 32800, IIF: "fpr-1", Table: 110, Protocol: 110},
		{Priority: 1, Table: 2852018311},
	} {
		b, err := encode(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-3])
		b[1] = 64
		f.Add(b)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok, err := decode(b)
		if err != nil || !ok {
			return
		}
		if r.Other != "" {
			if r.Other != string(b) {
				t.Fatal("not the message")
			}
			return
		}
		again, err := encode(r)
		if err != nil {
			return // no priority, a name that is too long
		}
		if got, _, err := decode(again); err != nil || got != r {
			t.Fatalf("%+v became %+v, %v", r, got, err)
		}
	})
}
