package httpd

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/evid/evid/mi"
)

const (
	typeJSON = "application/json"
	typeHTML = "text/html"
)

// handler serves HTTP requests. Status, content type and body are those of
// OpenSIPS where it answers at all.
type handler struct {
	table *mi.Table
	conns *connections
	log   *slog.Logger
	path  string   // "/mi"
	auth  bool     // requests need the token
	token [32]byte // its SHA-256
}

func newHandler(params Params, table *mi.Table, conns *connections, log *slog.Logger) *handler {
	return &handler{
		table: table,
		conns: conns,
		log:   log,
		path:  "/" + params.Root,
		auth:  params.AuthToken != "",
		token: sha256.Sum256([]byte(params.AuthToken)),
	}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case len(r.Header["Origin"]) > 0:
		h.forbid(w, r, http.StatusForbidden, "a request with an Origin header comes from a web page")
	case !h.authorized(r):
		w.Header().Set("WWW-Authenticate", "Bearer")
		h.forbid(w, r, http.StatusUnauthorized, "expected the header Authorization: Bearer with the token (modparam httpd auth_token)")
	case r.Method != http.MethodPost && r.Method != http.MethodGet:
		reply(w, http.StatusNotAcceptable, typeHTML, []byte("<html><body>Unsupported HTTP request!</body></html>"))
	case r.URL.Path != h.path && !strings.HasPrefix(r.URL.Path, h.path+"/"):
		reply(w, http.StatusBadRequest, typeHTML, []byte("<html><body>Unable to parse URL!</body></html>"))
	case r.Method == http.MethodGet:
		w.Header().Set("Allow", http.MethodPost)
		reply(w, http.StatusMethodNotAllowed, typeJSON, nil)
	case refusedType(r.Header.Get("Content-Type")):
		invalid(w, http.StatusBadRequest, "expected Content-Type: application/json, as set by curl --json or by "+
			"curl -H 'Content-Type: application/json', got "+r.Header.Get("Content-Type"))
	default:
		h.serve(w, r)
	}
}

// refusedType reports whether a media type is one that web pages can send to
// anyone without asking first.
func refusedType(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	return media == "text/plain" || media == "application/x-www-form-urlencoded" || strings.HasPrefix(media, "multipart/")
}

func (h *handler) authorized(r *http.Request) bool {
	if !h.auth {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return subtle.ConstantTimeCompare(sum[:], h.token[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

// serve executes the request in the body.
func (h *handler) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		invalid(w, http.StatusRequestEntityTooLarge, "expected a body of at most 1 MiB")
		return
	case err != nil:
		invalid(w, http.StatusBadRequest, "the body did not arrive: "+err.Error())
		return
	case len(body) == 0:
		invalid(w, http.StatusBadRequest, "expected a JSON-RPC 2.0 request in the body, got nothing")
		return
	}
	if !h.conns.begin(r.Context()) {
		invalid(w, http.StatusServiceUnavailable, "the daemon is being stopped")
		return
	}
	// The time limit is for the request, not for what it asks to be done.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // every connection has one
	answer := h.table.ServeJSON(r.Context(), body)
	if answer == nil {
		reply(w, http.StatusAccepted, typeJSON, nil)
		return
	}
	reply(w, http.StatusOK, typeJSON, answer)
}

// forbid refuses a client, which is logged.
func (h *handler) forbid(w http.ResponseWriter, r *http.Request, status int, reason string) {
	h.log.Warn("refuse MI request", "client", r.RemoteAddr, "reason", reason)
	reply(w, status, typeJSON, mi.ErrorReply(&mi.Error{Code: status, Message: http.StatusText(status), Data: reason}))
}

// invalid refuses what is no MI request.
func invalid(w http.ResponseWriter, status int, reason string) {
	reply(w, status, typeJSON, mi.ErrorReply(mi.InvalidRequest(reason)))
}

// reply always sends the length, so that the reply has an end. The time to write
// it counts from here: a command may have taken long.
func reply(w http.ResponseWriter, status int, contentType string, body []byte) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)) // every connection has one
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error means that the client has gone
}
