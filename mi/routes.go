package mi

import "context"

// Routes are the routes of the script. They may be asked from several goroutines at once.
type Routes interface {
	// ReloadRoutes lets the routes of the configuration as it is now take the place of
	// those that run. After an error all is as before.
	ReloadRoutes(ctx context.Context) error
	// RunRoute runs route[name] and returns what it returned: above 0 true, below false, 0
	// that it ended the script.
	RunRoute(ctx context.Context, name string, args []string) (int64, error)
}

// RouteCommands returns the commands about routes.
func RouteCommands(r Routes) []Command {
	return []Command{
		{
			Name: "reload_routes", Alias: "core:reload_routes",
			Help:   "reads the configuration again and lets its routes take the place of those that run",
			Params: [][]string{{}},
			Run: func(ctx context.Context, _ Args) (any, error) {
				if err := r.ReloadRoutes(ctx); err != nil {
					return nil, err
				}
				return "OK", nil
			},
		},
		{
			Name: "run_route", Alias: "core:run_route",
			Help:   "runs a route of the script, with parameters",
			Params: [][]string{{"route"}, {"route", "args"}},
			Rest:   true,
			Run: func(ctx context.Context, a Args) (any, error) {
				name, err := a.Text("route")
				if err != nil {
					return nil, err
				}
				var args []string
				if v, has := a.Value("args"); has && (v.Kind != Array || len(v.Items) > 0) {
					if args, err = a.Texts("args"); err != nil {
						return nil, err
					}
				}
				result, err := r.RunRoute(ctx, name, args)
				if err != nil {
					return nil, err
				}
				return struct {
					Route  string `json:"route"`
					Return int64  `json:"return"`
				}{name, result}, nil
			},
		},
	}
}
