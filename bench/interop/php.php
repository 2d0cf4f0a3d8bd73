<?php
// XML-RPC server on PHP's ext/xmlrpc and PHP's built-in web server, as README.md says.
//
// usage: php php.php

// Every request runs this file anew, so what it executes is counted in the size of a file.
if (PHP_SAPI === 'cli-server') {
    $server = xmlrpc_server_create();
    xmlrpc_server_register_method($server, 'block_ip', function (string $method, array $params): int {
        file_put_contents(getenv('COUNT_FILE'), '.', FILE_APPEND);
        return 1;
    });
    header('Content-Type: text/xml');
    echo xmlrpc_server_call_method($server, file_get_contents('php://input'), null, ['encoding' => 'UTF-8']);
    return;
}

function freePort(): int
{
    $socket = stream_socket_server('tcp://127.0.0.1:0');
    $name = stream_socket_get_name($socket, false);
    fclose($socket);
    return (int) substr($name, strrpos($name, ':') + 1);
}

// Started from the command line it starts the web server, whose log would cost more than the calls.
$file = tempnam(sys_get_temp_dir(), 'executed');
$port = freePort();
$null = ['file', '/dev/null', 'r+'];
$web = proc_open([PHP_BINARY, '-S', "127.0.0.1:$port", __FILE__], [$null, $null, $null], $pipes, null,
    ['COUNT_FILE' => $file] + getenv());

pcntl_async_signals(true);
pcntl_signal(SIGTERM, function () use ($web, $file): void {
    proc_terminate($web, SIGKILL);
    clearstatcache();
    echo 'executed=', filesize($file), "\n";
    unlink($file);
    exit(0);
});
while (!@stream_socket_client("tcp://127.0.0.1:$port")) {
    usleep(10_000);
}
echo "http://127.0.0.1:$port\n";
while (true) {
    sleep(60);
}
