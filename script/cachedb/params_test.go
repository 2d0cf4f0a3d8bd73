package cachedb_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid/modparam"
	"github.com/evid/evid/script/cachedb"
)

func TestModparams(t *testing.T) {
	type set struct{ name, text string }
	for _, test := range []struct {
		about string
		sets  []set
		want  cachedb.Params
		err   string
	}{
		{about: "nothing", want: cachedb.Params{MaxBytes: 64 << 20}},
		{
			about: "limits", sets: []set{{"max_bytes", "65536"}, {"max_entries", "5"}},
			want: cachedb.Params{MaxBytes: 65536, MaxEntries: 5},
		},
		{
			about: "no room", sets: []set{{"max_bytes", "65535"}},
			err: `max_bytes: expected an integer from 65536 to 1099511627776, got "65535"`,
		},
		{
			about: "collections as in the manual of OpenSIPS",
			sets:  []set{{"cache_collections", "collection1/r; collection2/r = 5; default = 4"}},
			want:  cachedb.Params{MaxBytes: 64 << 20, Collections: []string{"collection1", "collection2"}},
		},
		{
			about: "collections in two lines", sets: []set{{"cache_collections", "a;"}, {"cache_collections", " b "}},
			want: cachedb.Params{MaxBytes: 64 << 20, Collections: []string{"a", "b"}},
		},
		{
			about: "a collection twice", sets: []set{{"cache_collections", "a;b;a"}},
			err: `cache_collections: collection "a" is there already`,
		},
		{
			about: "a size that is none", sets: []set{{"cache_collections", "a=many"}},
			err: `cache_collections: expected a size from 0 to 31 after =, got "many"`,
		},
		{
			about: "a size without a name", sets: []set{{"cache_collections", "=5"}},
			err: `cache_collections: expected the name of a collection before =`,
		},
		{
			about: "URLs", sets: []set{
				{"cachedb_url", "local://"},
				{"cachedb_url", "local:///a"},
				{"cachedb_url", "local:g://"},
				{"cachedb_url", "local:group2:///b"},
			},
			want: cachedb.Params{MaxBytes: 64 << 20, URLs: []cachedb.URL{
				{Collection: "default"}, {Collection: "a"}, {Group: "g", Collection: "default"}, {Group: "group2", Collection: "b"},
			}},
		},
		{
			about: "another scheme", sets: []set{{"cachedb_url", "redis:a://host:6379/"}},
			err: `cachedb_url: expected local:///collection or local:group:///collection, got "redis:a://host:6379/"`,
		},
		{
			about: "two groups", sets: []set{{"cachedb_url", "local:a:b:///c"}},
			err: `cachedb_url: expected local:///collection or local:group:///collection, got "local:a:b:///c"`,
		},
		{
			about: "no URL", sets: []set{{"cachedb_url", "local"}},
			err: `cachedb_url: expected local:///collection or local:group:///collection, got "local"`,
		},
	} {
		t.Run(test.about, func(t *testing.T) {
			params := cachedb.DefaultParams()
			var err error
			for _, s := range test.sets {
				if err = modparam.Assign(params.Modparams(), s.name, s.text, modparam.Either); err != nil {
					break
				}
			}
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, params); diff != "" {
				t.Errorf("parameters (-want +got):\n%s", diff)
			}
		})
	}
}

// What is ignored is not also a parameter.
func TestIgnored(t *testing.T) {
	params := cachedb.DefaultParams()
	for name := range cachedb.Ignored() {
		if _, err := modparam.Find(params.Modparams(), name); err == nil {
			t.Errorf("%s is ignored and a parameter", name)
		}
	}
}

func TestCollections(t *testing.T) {
	s := open(t, cachedb.Params{
		MaxBytes: 1 << 20, Collections: []string{"a", "b"},
		URLs: []cachedb.URL{{Collection: "default"}, {Collection: "a"}, {Group: "g", Collection: "b"}, {Group: "b", Collection: "default"}},
	})
	for storage, key := range map[string]string{"local:default": "of default", "local:a": "of a", "local:g": "of b"} {
		if err := collection(t, s, storage).Store(key, "x", 0); err != nil {
			t.Fatal(err)
		}
	}
	for storage, key := range map[string]string{
		"local": "of a", "local:a": "of a", "local:default": "of default",
		"local:g": "of b", "local:b": "of default", // a group comes before a collection
	} {
		if _, found := collection(t, s, storage).Fetch(key); !found {
			t.Errorf("%s is not the collection %s", storage, key)
		}
	}
	_, err := s.Collection("redis:x")
	const want = `there is no storage "redis:x": known are local, local:a, local:b, local:default, local:g`
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestURLWithoutCollection(t *testing.T) {
	_, err := cachedb.New(cachedb.Params{MaxBytes: 1 << 20, URLs: []cachedb.URL{{Group: "g", Collection: "c"}}})
	const want = `open local:g:///c: there is no collection "c": add it to cache_collections`
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func open(tb testing.TB, p cachedb.Params) *cachedb.Store {
	tb.Helper()
	s, err := cachedb.New(p)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func collection(tb testing.TB, s *cachedb.Store, storage string) *cachedb.Collection {
	tb.Helper()
	c, err := s.Collection(storage)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}
