/* SPDX-License-Identifier: Apache-2.0
 *
 * csend: a sender that does as little as one can, to measure others against. It raises
 * E_PIKE_BLOCKED with the parameter ip over and over.
 *
 * usage: csend MODE [option...]
 *   peer       what the C module of OpenSIPS does for each event: socket, connect, write, shutdown,
 *              close; no reply is read, nothing is confirmed
 *   closeread  the same, and the reply is read to its end: confirmed by status 200 without a fault
 *   pp         keep-alive, ping-pong: -k connections, one request in flight on each
 *   pipe       keep-alive, pipelining: -k connections, -d requests in flight on each
 *
 *   -a ADDR    the IPv4 address to connect to (127.0.0.1)
 *   -p PORT    to connect to (8081)
 *   -P COUNT   peer, closeread: go round so many ports (1)
 *   -k CONNS   pp, pipe: connections (1)
 *   -d DEPTH   pipe: requests in flight on each (1)
 *   -t SECS    how long (3)
 *   -m METHOD  to call (block_ip)
 *   -u PATH    of the request (/RPC2)
 *   -s         the parameter is a struct of one member, as XML-RPC libraries understand it
 *
 * pp and pipe need replies that are all equally long, which sink gives. It prints
 *   csend MODE k=N d=N ports=N events=N errs=N rate=EVENTS/S cpu_us_ev=US
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNS 1024
#define MAX_IOV 32

static struct {
    const char *addr;
    int port, ports, conns, depth;
    double seconds;
    const char *method, *path;
    int use_struct;
} opt = {"127.0.0.1", 8081, 1, 1, 1, 3, "block_ip", "/RPC2", 0};

static struct sockaddr_in address;
static char host[32]; /* of the first port, for the header */
static unsigned long errors;

static void die(const char *what)
{
    fprintf(stderr, "csend: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void give_up(const char *why)
{
    fprintf(stderr, "csend: %s\n", why);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void report(const char *mode, unsigned long events, double seconds)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    double cpu = (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e6 + r.ru_utime.tv_usec + r.ru_stime.tv_usec;
    printf("csend %s k=%d d=%d ports=%d events=%lu errs=%lu rate=%.0f cpu_us_ev=%.2f\n", mode, opt.conns, opt.depth,
           opt.ports, events, errors, events / seconds, events ? cpu / events : 0);
}

/* Copies text without its end to p and returns what follows. */
static char *put(char *p, const char *text)
{
    size_t len = strlen(text);
    memcpy(p, text, len);
    return p + len;
}

/* Writes the parameter ip, piece by piece as the module does, and returns how long it is. */
static int build_param(char *buf)
{
    char *p = buf;
    p = put(p, "<param>\n");
    if (opt.use_struct)
        p = put(p, "<value><struct><member>\n");
    p = put(p, "<name>");
    p = put(p, "ip");
    p = put(p, "</name>\n");
    p = put(p, "<value>");
    p = put(p, "<string>");
    p = put(p, "192.168.2.11");
    p = put(p, "</string>");
    p = put(p, "</value>\n");
    if (opt.use_struct)
        p = put(p, "</member></struct></value>\n");
    p = put(p, "</param>\n");
    return p - buf;
}

static struct iovec text(const char *s)
{
    return (struct iovec){(void *)s, strlen(s)};
}

/* Builds a request of many pieces, as the module does, and returns how many. number takes the length of the body. */
static int build_request(struct iovec *v, const char *param, int param_len, char *number)
{
    int n = 0;
    v[n++] = text("POST ");
    v[n++] = text(opt.path);
    v[n++] = text(" HTTP/1.1\r\nHost: ");
    v[n++] = text(host);
    v[n++] = text("\r\nConnection: close\r\nUser-Agent: OpenSIPS XMLRPC Notifier\r\nContent-type: text/xml\r\nContent-length: ");
    int length = n++;
    v[n++] = text("\r\n\r\n");
    int body = n;
    v[n++] = text("<?xml version=\"1.0\"?>\n");
    v[n++] = text("<methodCall>\n");
    v[n++] = text("<methodName>");
    v[n++] = text(opt.method);
    v[n++] = text("</methodName>\n");
    v[n++] = text("<params>\n");
    v[n++] = text("<param>\n");
    v[n++] = text("<value>");
    v[n++] = text("<string>");
    v[n++] = text("E_PIKE_BLOCKED");
    v[n++] = text("</string>");
    v[n++] = text("</value>\n");
    v[n++] = text("</param>\n");
    v[n++] = (struct iovec){(void *)param, param_len};
    v[n++] = text("</params>\n");
    v[n++] = text("</methodCall>");
    size_t total = 0;
    for (int i = body; i < n; i++)
        total += v[i].iov_len;
    v[length] = (struct iovec){number, sprintf(number, "%zu", total)};
    return n;
}

/* Reads a reply to the end of the connection and says whether it confirms the call. */
static int confirmed(int fd)
{
    char reply[8192];
    size_t len = 0;
    while (len < sizeof reply) {
        ssize_t n = read(fd, reply + len, sizeof reply - len);
        if (n < 0)
            return 0;
        if (n == 0)
            break;
        len += n;
    }
    return len >= 12 && !memcmp(reply, "HTTP/1.", 7) && !memcmp(reply + 8, " 200", 4) && !memmem(reply, len, "<fault", 6);
}

/* Sends one event over a connection of its own and says whether that went well. */
static int send_one(const char *param, int param_len, int reads)
{
    static unsigned long sent;
    struct iovec v[MAX_IOV];
    char number[32];
    int n = build_request(v, param, param_len, number);
    struct sockaddr_in to = address;
    to.sin_port = htons(opt.port + sent++ % opt.ports);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        die("open socket");
    struct timeval patience = {5, 0};
    if (reads)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    int ok = !connect(fd, (struct sockaddr *)&to, sizeof to) && writev(fd, v, n) > 0 && (!reads || confirmed(fd));
    shutdown(fd, SHUT_RDWR);
    close(fd);
    return ok;
}

/* peer and closeread. */
static void connection_per_event(const char *mode, int reads)
{
    double start = now(), end = start + opt.seconds;
    unsigned long events = 0;
    while (now() < end) {
        char param[512];
        int len = build_param(param);
        if (send_one(param, len, reads))
            events++;
        else
            errors++;
    }
    report(mode, events, now() - start);
}

/* A kept connection. */
static struct {
    int fd;
    int in_flight; /* requests */
    int rest;      /* bytes of a reply that is incomplete */
} conns[MAX_CONNS];

static char *requests; /* opt.depth of them */
static int request_len, reply_len;
static char replies[262144];

static void make_requests(void)
{
    char param[512], body[2048], request[4096];
    param[build_param(param)] = '\0';
    int len = snprintf(body, sizeof body,
                       "<?xml version=\"1.0\"?>\n<methodCall>\n<methodName>%s</methodName>\n<params>\n"
                       "<param>\n<value><string>E_PIKE_BLOCKED</string></value>\n</param>\n%s</params>\n</methodCall>\n",
                       opt.method, param);
    request_len = snprintf(request, sizeof request,
                           "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: OpenSIPS XMLRPC Notifier\r\n"
                           "Content-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s",
                           opt.path, host, len, body);
    if (len >= (int)sizeof body || request_len >= (int)sizeof request)
        give_up("method or path too long");
    requests = malloc((size_t)request_len * opt.depth);
    if (!requests)
        die("allocate memory");
    for (int i = 0; i < opt.depth; i++)
        memcpy(requests + (size_t)i * request_len, request, request_len);
}

static int dial(void)
{
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void send_requests(int i, int n)
{
    if (write(conns[i].fd, requests, (size_t)request_len * n) != (ssize_t)request_len * n)
        die("write requests");
    conns[i].in_flight += n;
}

/* Reads what has come, fills the connection up again, and returns how many replies it were. */
static int take_replies(int i, int low)
{
    ssize_t n = read(conns[i].fd, replies, sizeof replies);
    if (n <= 0)
        give_up("the server closed a connection");
    conns[i].rest += n;
    int got = conns[i].rest / reply_len;
    conns[i].rest %= reply_len;
    conns[i].in_flight -= got;
    if (conns[i].in_flight <= low)
        send_requests(i, opt.depth - conns[i].in_flight);
    return got;
}

/* Learns how long a reply is. It is short, and comes in one piece. */
static void learn_reply(void)
{
    send_requests(0, 1);
    usleep(20000);
    reply_len = read(conns[0].fd, replies, sizeof replies);
    if (reply_len < 12 || memcmp(replies, "HTTP/1.1 200", 12))
        give_up("expected a reply with status 200");
    conns[0].in_flight = 0;
}

static unsigned long ping_one(double end, int low)
{
    unsigned long events = 0;
    for (unsigned long turn = 0;; turn++) {
        if ((turn & 15) == 0 && now() > end)
            return events;
        events += take_replies(0, low);
    }
}

static unsigned long ping_many(int epoll_fd, double end, int low)
{
    unsigned long events = 0;
    for (;;) {
        struct epoll_event ready[256];
        int n = epoll_wait(epoll_fd, ready, 256, 100);
        if (now() > end)
            return events;
        for (int j = 0; j < n; j++)
            events += take_replies(ready[j].data.u32, low);
    }
}

/* pp and pipe. */
static void keep_alive(const char *mode)
{
    int epoll_fd = epoll_create1(0);
    if (epoll_fd < 0)
        die("make epoll");
    make_requests();
    for (int i = 0; i < opt.conns; i++) {
        conns[i].fd = dial();
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, conns[i].fd, &e))
            die("watch connection");
    }
    learn_reply();
    double start = now(), end = start + opt.seconds;
    int low = opt.depth > 1 ? opt.depth / 2 : 0;
    for (int i = 0; i < opt.conns; i++)
        send_requests(i, opt.depth);
    unsigned long events = opt.conns == 1 ? ping_one(end, low) : ping_many(epoll_fd, end, low);
    report(mode, events, now() - start);
}

static void read_options(int argc, char **argv)
{
    int o;
    optind = 2;
    while ((o = getopt(argc, argv, "a:p:k:d:t:P:m:u:s")) != -1) {
        switch (o) {
        case 'a': opt.addr = optarg; break;
        case 'p': opt.port = atoi(optarg); break;
        case 'k': opt.conns = atoi(optarg); break;
        case 'd': opt.depth = atoi(optarg); break;
        case 't': opt.seconds = atof(optarg); break;
        case 'P': opt.ports = atoi(optarg); break;
        case 'm': opt.method = optarg; break;
        case 'u': opt.path = optarg; break;
        case 's': opt.use_struct = 1; break;
        default: exit(2);
        }
    }
    if (opt.conns < 1 || opt.conns > MAX_CONNS || opt.depth < 1 || opt.ports < 1 || opt.seconds <= 0)
        give_up("expected -k from 1 to 1024 and -d, -P and -t above 0");
}

int main(int argc, char **argv)
{
    if (argc < 2)
        give_up("expected a mode: peer, closeread, pp or pipe");
    const char *mode = argv[1];
    read_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    address.sin_family = AF_INET;
    address.sin_port = htons(opt.port);
    if (inet_pton(AF_INET, opt.addr, &address.sin_addr) != 1)
        give_up("expected -a with an IPv4 address");
    snprintf(host, sizeof host, "%s:%d", opt.addr, opt.port);
    if (!strcmp(mode, "peer"))
        connection_per_event(mode, 0);
    else if (!strcmp(mode, "closeread"))
        connection_per_event(mode, 1);
    else if (!strcmp(mode, "pp") || !strcmp(mode, "pipe"))
        keep_alive(mode);
    else
        give_up("expected a mode: peer, closeread, pp or pipe");
    return 0;
}
