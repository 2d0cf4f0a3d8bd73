package cachedb

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/evid/evid/modparam"
)

// defaultCollection is the collection that there always is.
const defaultCollection = "default"

// Params are the parameters of module cachedb_local. [DefaultParams] returns the defaults.
type Params struct {
	Collections []string // beside "default"
	URLs        []URL    // a later one replaces an earlier one of the same group
	MaxBytes    int      // bytes of all keys and values, and entryCost for each entry
	MaxEntries  int      // 0: as many as MaxBytes has room for
}

// A URL gives a collection the name that a script calls it by.
type URL struct {
	Group      string // the script says "local:group"; empty: "local"
	Collection string
}

// DefaultParams returns the values that parameters have when nothing is said.
func DefaultParams() Params { return Params{MaxBytes: 64 << 20} }

// Modparams lists the parameters for the script.
func (p *Params) Modparams() []modparam.Param {
	return []modparam.Param{
		{
			Name: "cache_collections", Value: modparam.Func(modparam.Text, p.collections, p.addCollections),
			Usage: "collections beside the default one, with ; between; can be given more than once",
		},
		{
			Name: "cachedb_url", Value: modparam.Func(modparam.Text, p.urls, p.addURL),
			Usage: "local:group:///collection: the script calls this collection local:group; can be given more than once",
		},
		{
			Name: "max_bytes", Value: modparam.Int(&p.MaxBytes, 1<<16, 1<<40),
			Usage: "bytes of all keys and values, and 160 for each, at most",
		},
		{
			Name: "max_entries", Value: modparam.Int(&p.MaxEntries, 0, 1<<30),
			Usage: "keys, at most; with 0 as many as max_bytes has room for",
		},
	}
}

// Ignored are the parameters of OpenSIPS' module that have nothing to act upon here, with
// the reason.
func Ignored() map[string]string {
	const alone = "nothing is replicated: each evid has a cache of its own"
	return map[string]string{
		"cache_table_size":           "tables grow as needed",
		"cache_clean_period":         "what has expired is removed all along",
		"exec_threshold":             "no call takes long",
		"cluster_id":                 alone,
		"cluster_persistency":        alone,
		"enable_restart_persistency": "the cache ends with the process",
	}
}

func (p *Params) collections() string { return strings.Join(p.Collections, ";") }

// addCollections takes "name1; name2=size; name3/r", as OpenSIPS does. The size, an exponent
// of 2, has no meaning here, nor has /r, which has none in OpenSIPS either without a cluster.
func (p *Params) addCollections(text string) error {
	for one := range strings.SplitSeq(text, ";") {
		name, size, sized := strings.Cut(one, "=")
		name = strings.TrimSuffix(strings.TrimSpace(name), "/r")
		if size = strings.TrimSpace(size); sized {
			if n, err := strconv.Atoi(size); err != nil || n < 0 || n > 31 {
				return fmt.Errorf("expected a size from 0 to 31 after =, got %q", size)
			}
		}
		switch {
		case name == "" && sized:
			return errors.New("expected the name of a collection before =")
		case name == "", name == defaultCollection:
		case slices.Contains(p.Collections, name):
			return fmt.Errorf("collection %q is there already", name)
		default:
			p.Collections = append(p.Collections, name)
		}
	}
	return nil
}

func (p *Params) urls() string {
	texts := make([]string, len(p.URLs))
	for i, u := range p.URLs {
		texts[i] = u.String()
	}
	return strings.Join(texts, " ")
}

func (p *Params) addURL(text string) error {
	u, err := parseURL(text)
	if err != nil {
		return err
	}
	p.URLs = append(p.URLs, u)
	return nil
}

// parseURL takes local://, local:///collection, local:group:// and local:group:///collection.
// What stands between the second and the third slash is the host, which is nobody's.
func parseURL(text string) (URL, error) {
	storage, rest, found := strings.Cut(text, "://")
	scheme, group, _ := strings.Cut(storage, ":")
	_, collection, _ := strings.Cut(rest, "/")
	if !found || scheme != "local" || strings.Contains(group, ":") {
		return URL{}, fmt.Errorf("expected local:///collection or local:group:///collection, got %q", text)
	}
	if collection == "" {
		collection = defaultCollection
	}
	return URL{Group: group, Collection: collection}, nil
}

// String is the URL as one writes it.
func (u URL) String() string {
	if u.Group == "" {
		return "local:///" + u.Collection
	}
	return "local:" + u.Group + ":///" + u.Collection
}
