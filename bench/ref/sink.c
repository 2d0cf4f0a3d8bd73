/* SPDX-License-Identifier: Apache-2.0
 *
 * sink: an XML-RPC server that does as little as one can, for measuring senders.
 *
 * One thread, epoll. It reads POST requests with a Content-Length, takes keep-alive and
 * pipelining (the replies to one read go out in one write), and answers every call, also each
 * one in a system.multicall, with the integer 1.
 *
 * usage: sink [option...]
 *   -p PORT   the first port (8081)
 *   -n COUNT  so many ports, from PORT upwards (1); at most what the limit of open files allows
 *   -a ADDR   the IPv4 address to listen on (127.0.0.1)
 *   -R        never reply, on all ports
 *   -d MS     send each reply MS milliseconds after its request
 *   -B FROM   ports from PORT+FROM on are black holes: they accept, read and never reply
 *   -C FROM   ports from PORT+FROM on are closed: they refuse connections
 *   -S FROM   ports from PORT+FROM on drop SYNs: their accept queue is full
 *
 * It prints "sink ready" once it listens, and on SIGUSR1 and at its end (SIGTERM, SIGINT)
 *   sink requests=N calls=N conns=N cpu_us=N
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
#include <time.h>
#include <unistd.h>

#define MAX_FD 65536
#define MAX_EVENTS 512
#define NOBODY (1 << 30)

#define BODY_START "<?xml version=\"1.0\"?>\r\n<methodResponse><params><param>"
#define BODY_END "</param></params></methodResponse>\r\n"

static const char single_body[] = BODY_START "<value><int>1</int></value>" BODY_END;
static const char multi_start[] = BODY_START "<value><array><data>";
static const char multi_item[] = "<value><array><data><value><int>1</int></value></data></array></value>";
static const char multi_end[] = "</data></array></value>" BODY_END;

/* A connection, or a port that is listened on. */
typedef struct {
    int fd;       /* -1: closed, and kept for replies that are still to come */
    int replies;  /* that wait for their time */
    char *buf;    /* the part of a request that has come so far */
    int len, cap; /* of buf */
    char listener;
    char black; /* takes what comes and looks at nothing */
} conn;

/* Replies that wait for their time. All wait equally long, so the first to come is the first to go. */
typedef struct delayed {
    struct delayed *next;
    conn *to;
    double due; /* seconds, monotonic */
    int close_after;
    int len;
    char data[];
} delayed;

static struct {
    const char *addr;
    int port, ports;
    int black_from, closed_from, syn_from;
    double delay; /* seconds */
    int no_reply;
} opt = {"127.0.0.1", 8081, 1, NOBODY, NOBODY, NOBODY, 0, 0};

static int epoll_fd;
static conn *conns[MAX_FD]; /* by file descriptor */
static unsigned long requests, calls, accepted;
static volatile sig_atomic_t stop, dump;
static delayed *first_delayed, **last_delayed = &first_delayed;

/* The replies to one read. */
static char *out;
static int out_len, out_cap = 1 << 20;

static char keep_reply[512], close_reply[512];
static int keep_len, close_len;

static void die(const char *what)
{
    fprintf(stderr, "sink: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *check_alloc(void *memory)
{
    if (!memory)
        die("allocate memory");
    return memory;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void on_signal(int number)
{
    if (number == SIGUSR1)
        dump = 1;
    else
        stop = 1;
}

static void report(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    long cpu = (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000L + r.ru_utime.tv_usec + r.ru_stime.tv_usec;
    printf("sink requests=%lu calls=%lu conns=%lu cpu_us=%ld\n", requests, calls, accepted, cpu);
    fflush(stdout);
}

static void watch(int fd, int listener, int black)
{
    conn *c = check_alloc(calloc(1, sizeof *c));
    c->fd = fd;
    c->listener = listener;
    c->black = black;
    conns[fd] = c;
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e))
        die("watch socket");
}

static void free_if_unused(conn *c)
{
    if (c->fd < 0 && c->replies == 0)
        free(c);
}

static void drop(conn *c)
{
    conns[c->fd] = NULL;
    close(c->fd);
    c->fd = -1;
    free(c->buf);
    c->buf = NULL;
    free_if_unused(c);
}

/* Fills the accept queue of a port, so that the kernel drops every further SYN. */
static void fill(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof *address))
        die("fill accept queue");
}

static void open_port(int index)
{
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0)
        die("open socket");
    if (fd >= MAX_FD) {
        errno = EMFILE;
        die("open socket");
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(opt.port + index)};
    if (inet_pton(AF_INET, opt.addr, &address.sin_addr) != 1) {
        errno = EINVAL;
        die(opt.addr);
    }
    if (bind(fd, (struct sockaddr *)&address, sizeof address)) {
        fprintf(stderr, "sink: port %d: ", opt.port + index);
        die("bind");
    }
    if (index >= opt.closed_from)
        return; /* bound, so that nobody else takes it */
    int drops = index >= opt.syn_from;
    if (listen(fd, drops ? 0 : 4096))
        die("listen");
    if (drops)
        fill(&address);
    else
        watch(fd, 1, index >= opt.black_from);
}

static void accept_all(const conn *listener)
{
    for (int i = 0; i < 64; i++) {
        int on = 1;
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0)
            return;
        if (fd >= MAX_FD) {
            close(fd);
            return;
        }
        accepted++;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(fd, 0, listener->black);
    }
}

static void reserve(int size)
{
    if (out_cap - out_len >= size)
        return;
    out_cap = out_len + size + 65536;
    out = check_alloc(realloc(out, out_cap));
}

static void put(const char *data, int len)
{
    memcpy(out + out_len, data, len);
    out_len += len;
}

/* Appends the reply to one call. */
static void reply_single(int closes)
{
    reserve(512);
    if (closes)
        put(close_reply, close_len);
    else
        put(keep_reply, keep_len);
}

/* Appends the reply to a system.multicall of n calls. */
static void reply_multi(int n, int closes)
{
    size_t len = sizeof multi_start - 1 + n * (sizeof multi_item - 1) + sizeof multi_end - 1;
    reserve(len + 512);
    out_len += sprintf(out + out_len, "HTTP/1.1 200 OK\r\n%sContent-Type: text/xml\r\nContent-Length: %zu\r\n\r\n",
                       closes ? "Connection: close\r\n" : "", len);
    put(multi_start, sizeof multi_start - 1);
    for (int i = 0; i < n; i++)
        put(multi_item, sizeof multi_item - 1);
    put(multi_end, sizeof multi_end - 1);
}

static int count_calls(const char *body, const char *end)
{
    int n = 0;
    while ((body = memmem(body, end - body, ">methodName<", 12))) {
        n++;
        body += 12;
    }
    return n;
}

/* Reads the header fields from p to the blank line at end. */
static void read_head(const char *p, const char *end, long *length, int *closes)
{
    while (p < end) {
        const char *eol = memchr(p, '\r', end + 2 - p);
        if (eol - p > 16 && (p[0] | 32) == 'c') {
            if (!strncasecmp(p, "content-length:", 15))
                *length = atol(p + 15);
            else if (!strncasecmp(p, "connection: close", 17))
                *closes = 1;
        }
        p = eol + 2;
    }
}

/* Takes the requests that p holds, appends their replies to out, and returns how many bytes they were. */
static int take_requests(const char *p, int have, int *closes)
{
    const char *start = p;
    while (have > 0 && !*closes) {
        const char *end = memmem(p, have, "\r\n\r\n", 4);
        if (!end)
            break;
        int head = end + 4 - p;
        long length = 0;
        int close_after = 0;
        read_head(p, end, &length, &close_after);
        if (have < head + length)
            break;
        const char *body = p + head;
        int n = 1;
        int multi = length > 600 && memmem(body, 200, "system.multicall", 16);
        if (multi)
            n = count_calls(body, body + length);
        requests++;
        calls += n;
        if (multi && !opt.no_reply)
            reply_multi(n, close_after);
        else if (!opt.no_reply)
            reply_single(close_after);
        *closes = close_after;
        p += head + length;
        have -= head + length;
    }
    return p - start;
}

static int write_all(int fd, const char *data, int len)
{
    while (len > 0) {
        int n = write(fd, data, len);
        if (n < 0 && errno == EAGAIN) {
            usleep(50);
            continue;
        }
        if (n < 0)
            return -1;
        data += n;
        len -= n;
    }
    return 0;
}

static void delay_replies(conn *to, int close_after)
{
    delayed *d = check_alloc(malloc(sizeof *d + out_len));
    d->next = NULL;
    d->to = to;
    d->due = now() + opt.delay;
    d->close_after = close_after;
    d->len = out_len;
    memcpy(d->data, out, out_len);
    to->replies++;
    *last_delayed = d;
    last_delayed = &d->next;
}

/* Sends what is due, and returns how many milliseconds to wait for events. */
static int send_delayed(void)
{
    while (first_delayed) {
        delayed *d = first_delayed;
        double left = d->due - now();
        if (left > 0)
            return left < 0.2 ? (int)(left * 1e3) + 1 : 200;
        first_delayed = d->next;
        if (!first_delayed)
            last_delayed = &first_delayed;
        conn *c = d->to;
        c->replies--;
        if (c->fd < 0)
            free_if_unused(c);
        else if (write_all(c->fd, d->data, d->len) || d->close_after)
            drop(c);
        free(d);
    }
    return 200;
}

/* Keeps the part of a request that is still incomplete. */
static void keep_rest(conn *c, const char *rest, int len)
{
    if (len == 0) {
        free(c->buf);
        c->buf = NULL;
        c->len = c->cap = 0;
        return;
    }
    if (!c->buf) {
        c->cap = len + 262144;
        c->buf = check_alloc(malloc(c->cap));
    }
    memmove(c->buf, rest, len);
    c->len = len;
}

static void serve(conn *c)
{
    static char shared[262144]; /* for whoever has nothing incomplete */
    char *data = shared;
    int n;
    if (c->len > 0) {
        if (c->cap - c->len < 65536) {
            c->cap = c->len + 262144;
            c->buf = check_alloc(realloc(c->buf, c->cap));
        }
        data = c->buf;
        n = read(c->fd, data + c->len, c->cap - c->len);
    } else {
        n = read(c->fd, shared, sizeof shared);
    }
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        drop(c);
        return;
    }
    if (c->black)
        return;
    int have = c->len + n;
    int closes = 0;
    out_len = 0;
    int taken = take_requests(data, have, &closes);
    if (out_len > 0 && opt.delay > 0) {
        delay_replies(c, closes);
    } else if ((out_len > 0 && write_all(c->fd, out, out_len)) || closes) {
        drop(c);
        return;
    }
    if (c->len > 0 || have > taken)
        keep_rest(c, data + taken, have - taken);
}

static void raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files))
        die("get limit of open files");
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files))
        die("raise limit of open files");
}

static void read_options(int argc, char **argv)
{
    int o;
    while ((o = getopt(argc, argv, "p:n:a:Rd:B:C:S:")) != -1) {
        switch (o) {
        case 'p': opt.port = atoi(optarg); break;
        case 'n': opt.ports = atoi(optarg); break;
        case 'a': opt.addr = optarg; break;
        case 'R': opt.no_reply = 1; break;
        case 'd': opt.delay = atof(optarg) / 1e3; break;
        case 'B': opt.black_from = atoi(optarg); break;
        case 'C': opt.closed_from = atoi(optarg); break;
        case 'S': opt.syn_from = atoi(optarg); break;
        default: exit(2);
        }
    }
    if (optind < argc || opt.port < 1 || opt.ports < 1 || opt.port + opt.ports > 65536) {
        fprintf(stderr, "sink: expected -p and -n that give ports from 1 to 65535, and options only\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    raise_file_limit();
    signal(SIGUSR1, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    signal(SIGPIPE, SIG_IGN);
    keep_len = sprintf(keep_reply, "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %zu\r\n\r\n%s",
                       sizeof single_body - 1, single_body);
    close_len = sprintf(close_reply,
                        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/xml\r\nContent-Length: %zu\r\n\r\n%s",
                        sizeof single_body - 1, single_body);
    out = check_alloc(malloc(out_cap));
    epoll_fd = epoll_create1(0);
    if (epoll_fd < 0)
        die("make epoll");
    for (int i = 0; i < opt.ports; i++)
        open_port(i);
    puts("sink ready");
    fflush(stdout);

    struct epoll_event events[MAX_EVENTS];
    while (!stop) {
        int n = epoll_wait(epoll_fd, events, MAX_EVENTS, send_delayed());
        if (dump) {
            dump = 0;
            report();
        }
        for (int i = 0; i < n; i++) {
            conn *c = conns[events[i].data.fd];
            if (!c)
                continue;
            if (c->listener)
                accept_all(c);
            else
                serve(c);
        }
    }
    report();
    return 0;
}
