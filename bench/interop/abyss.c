/* XML-RPC server on xmlrpc-c's Abyss, as README.md says. system.multicall is built in.
 *
 * usage: abyss
 * build: gcc -o abyss abyss.c $(xmlrpc-c-config abyss-server --cflags --libs) -lpthread
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xmlrpc-c/base.h>
#include <xmlrpc-c/server.h>
#include <xmlrpc-c/server_abyss.h>

static unsigned long executed;

static void die_on_fault(const xmlrpc_env *env)
{
    if (env->fault_occurred) {
        fprintf(stderr, "abyss: %s\n", env->fault_string);
        exit(1);
    }
}

static xmlrpc_value *block_ip(xmlrpc_env *env, xmlrpc_value *params, void *server_info, void *call_info)
{
    (void)params;
    (void)server_info;
    (void)call_info;
    __atomic_add_fetch(&executed, 1, __ATOMIC_RELAXED);
    return xmlrpc_int_new(env, 1);
}

/* Waits for SIGTERM, which all other threads have blocked. */
static void *wait_for_end(void *signals)
{
    int number;
    sigwait(signals, &number);
    printf("executed=%lu\n", __atomic_load_n(&executed, __ATOMIC_RELAXED));
    fflush(stdout);
    _exit(0);
}

/* Returns a socket that listens on a free port of 127.0.0.1. */
static int listen_on_loopback(struct sockaddr_in *address)
{
    socklen_t length = sizeof *address;

    memset(address, 0, sizeof *address);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)address, sizeof *address) != 0 ||
        listen(fd, 1024) != 0 || getsockname(fd, (struct sockaddr *)address, &length) != 0) {
        perror("abyss: listen on 127.0.0.1");
        exit(1);
    }
    return fd;
}

int main(void)
{
    sigset_t signals;
    pthread_t waiter;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    pthread_create(&waiter, NULL, wait_for_end, &signals);

    xmlrpc_env env;
    xmlrpc_env_init(&env);
    xmlrpc_registry *registry = xmlrpc_registry_new(&env);
    die_on_fault(&env);
    struct xmlrpc_method_info3 info = {.methodName = "block_ip", .methodFunction = block_ip};
    xmlrpc_registry_add_method3(&env, registry, &info);
    die_on_fault(&env);

    struct sockaddr_in address;
    xmlrpc_server_abyss_parms parms = {
        .registryP = registry,
        .socket_bound = 1,
        .socket_handle = listen_on_loopback(&address),
    };
    printf("http://127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    xmlrpc_server_abyss(&env, &parms, XMLRPC_APSIZE(socket_handle));
    die_on_fault(&env);
    return 0;
}
